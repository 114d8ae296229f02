// SPDX-License-Identifier: Apache-2.0
//
// The integers that a code of so many bits can be: from -2^(bits-1) to 2^(bits-1) - 1.
#ifndef KILN_CODES_H
#define KILN_CODES_H

#define LEAST_CODE(bits) (-(float)(1 << ((bits) - 1)))
#define LARGEST_CODE(bits) ((float)((1 << ((bits) - 1)) - 1))
/// Half the width of the range: a scale of absmax / 7.5 (of 4 bits) wastes nothing on either side.
#define HALF_WIDTH(bits) ((float)(1 << ((bits) - 1)) - 0.5f)
/// What is added to a code to store it as an unsigned number.
#define CODE_OFFSET(bits) (1 << ((bits) - 1))

#endif
