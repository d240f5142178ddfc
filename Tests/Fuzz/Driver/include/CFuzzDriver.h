// The entry of libFuzzer for programs with a `main` of their own (compiler-rt's fuzzer_no_main).
#ifndef CYX_FUZZ_DRIVER_H
#define CYX_FUZZ_DRIVER_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerRunDriver(int *argc, char ***argv,
                        int (*test)(const uint8_t *bytes, size_t count));

#endif
