// SPDX-License-Identifier: Apache-2.0

#include "fused.h"
#include "delta_rows_body.h"
#include "delta_slices_body.h"
#include "delta_passes_body.h"
#include "delta_recurrent_body.h"
#include "tile_body.h"
#include "transpose_body.h"
#include "delta_chunk_body.h"
#include "delta_chunkwise_body.h"
