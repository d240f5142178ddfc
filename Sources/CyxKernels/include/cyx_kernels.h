#ifndef CYX_KERNELS_H
#define CYX_KERNELS_H

#include "cyx_aes.h"
#include "cyx_blake3.h"
#include "cyx_crc32c.h"
#include "cyx_crc64.h"
#include "cyx_curve25519.h"
#include "cyx_md5.h"

#endif
