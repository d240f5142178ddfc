#include "cyx_kernels.h"
