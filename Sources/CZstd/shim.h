// SPDX-License-Identifier: Apache-2.0
// The declaration of a frame's header, which a bounded reader must see, is not in the stable part.
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
