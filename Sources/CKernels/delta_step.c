// SPDX-License-Identifier: Apache-2.0

#include "decoding.h"
#include "lanes.h"

#define KILN_BODY "delta_step_body.h"
#include "variants.h"

KILN_DISPATCH(
    void, delta_step,
    (enum kiln_instruction_set set, const struct kiln_delta_head *head, float *workspace),
    (head, workspace))
