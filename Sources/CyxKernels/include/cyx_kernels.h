#ifndef CYX_KERNELS_H
#define CYX_KERNELS_H

#include "cyx_blake3.h"

#endif
