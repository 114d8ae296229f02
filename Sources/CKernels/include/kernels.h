// SPDX-License-Identifier: Apache-2.0
#ifndef KILN_KERNELS_H
#define KILN_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#endif
