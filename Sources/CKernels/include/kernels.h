// SPDX-License-Identifier: Apache-2.0
//
// Leaf kernels in C: what needs instructions that Swift cannot select at run time.
//
// Every function is compiled three times from one source (`*_body.h`) and takes the instruction
// set to use. All of them give the same bits, but for sign and payload of NaN: the order of every
// sum is fixed by lanes that are written out, products and sums are rounded separately (no fused
// multiply-add), and there is no fast-math. Not so Kimi delta attention, products (product.h)
// and whatever takes an exponential (activations, log decay, gated norm, convolution, sums of exponentials): these
// use fused multiply-adds; AVX2 and AVX-512 give the same bits, portable code differs in the last ones.
// Arrays may have any length and any alignment. `n` counts elements.
#ifndef KILN_KERNELS_H
#define KILN_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum kiln_instruction_set {
  KILN_PORTABLE = 0,
  KILN_AVX2 = 1,
  KILN_AVX512 = 2,
  KILN_AVX512_VNNI = 3,
  /// With VNNI, VBMI2 and GFNI.
  KILN_AVX512_VBMI2 = 4
};

/// The widest instruction set that this machine has and this file was compiled for.
enum kiln_instruction_set kiln_best_instruction_set(void);

// Elementwise, in place ---------------------------------------------------------------------------

/// x = exp(x): within 1 ulp, subnormal results included; 0 below -104, infinite above 89, NaN kept.
void kiln_exp(enum kiln_instruction_set set, float *x, size_t n);
/// x = 1 / (1 + exp(-x)).
void kiln_sigmoid(enum kiln_instruction_set set, float *x, size_t n);
/// x = x * sigmoid(x).
void kiln_silu(enum kiln_instruction_set set, float *x, size_t n);
/// gate = silu(gate) * up.
void kiln_silu_multiply(enum kiln_instruction_set set, float *gate, const float *up, size_t n);
/// x = x * sigmoid(gate).
void kiln_sigmoid_multiply(enum kiln_instruction_set set, float *x, const float *gate, size_t n);
/// x = log(1 + exp(x)), accurate in the relative sense for every x.
void kiln_softplus(enum kiln_instruction_set set, float *x, size_t n);
/// x = rate * softplus(x + bias).
void kiln_log_decay(
    enum kiln_instruction_set set, float *x, const float *bias, float rate, size_t n);
/// For each of `heads` rows of `width`: x = x * rsqrt(mean(x^2) + epsilon) * weight * sigmoid(gate).
void kiln_gated_norm(
    enum kiln_instruction_set set, float *x, const float *gate, const float *weight,
    float epsilon, size_t heads, size_t width);
/// y = y + x.
void kiln_add(enum kiln_instruction_set set, float *y, const float *x, size_t n);
/// y = y + factor * x.
void kiln_add_scaled(
    enum kiln_instruction_set set, float *y, const float *x, float factor, size_t n);
/// y = y * x.
void kiln_multiply(enum kiln_instruction_set set, float *y, const float *x, size_t n);
/// y = y * factor.
void kiln_scale(enum kiln_instruction_set set, float *y, float factor, size_t n);

// Reductions --------------------------------------------------------------------------------------

/// Sum of x * y in 64 float lanes, see dot_body.h for the order.
float kiln_dot(enum kiln_instruction_set set, const float *x, const float *y, size_t n);
/// Sum of x in the lanes of `kiln_dot`.
float kiln_sum(enum kiln_instruction_set set, const float *x, size_t n);
/// Largest element, -inf for none; NaN elements are passed over.
float kiln_maximum(enum kiln_instruction_set set, const float *x, size_t n);
/// Sum of exp(x - shift), the terms in float32, their sum in double.
double kiln_sum_exp(enum kiln_instruction_set set, const float *x, float shift, size_t n);
/// x = exp(x - shift); the sum as by `kiln_sum_exp`.
double kiln_exp_and_sum(enum kiln_instruction_set set, float *x, float shift, size_t n);

// Widening of stored weights, which are little-endian -----------------------------------------------

void kiln_widen_bf16(enum kiln_instruction_set set, const uint8_t *source, float *output, size_t n);
/// Exact, subnormals included; infinities and NaN (with its payload) keep their kind.
void kiln_widen_f16(enum kiln_instruction_set set, const uint8_t *source, float *output, size_t n);
/// One byte an element, q + 128; one BF16 scale for each `group` elements. `n` is a multiple of it.
void kiln_widen_int8(
    enum kiln_instruction_set set, const uint8_t *codes, const uint8_t *scales, size_t group,
    float *output, size_t n);
/// Half a byte an element, q + 8, the even element in the low nibble; scales as for int8, `group`
/// even.
void kiln_widen_int4(
    enum kiln_instruction_set set, const uint8_t *codes, const uint8_t *scales, size_t group,
    float *output, size_t n);
/// Five and six bits an element, q + 16 and q + 32, one behind the other; groups are multiples of 32.
void kiln_widen_int5(
    enum kiln_instruction_set set, const uint8_t *codes, const uint8_t *scales, size_t group,
    float *output, size_t n);
void kiln_widen_int6(
    enum kiln_instruction_set set, const uint8_t *codes, const uint8_t *scales, size_t group,
    float *output, size_t n);

// Short convolution ---------------------------------------------------------------------------------

/// x[t][c] = silu(sum over j of weights[j][c] * x[t - (taps - 1) + j][c]) in place, j ascending.
///
/// x has `rows` rows, one for each token, `weights` taps rows and `history` taps - 1: the inputs before
/// the first row, oldest first, replaced by the last inputs. `stride` is the distance of two rows of
/// each of them, of which the first `channels` elements are computed.
void kiln_short_convolution(
    enum kiln_instruction_set set, float *x, size_t rows, size_t stride, float *history,
    const float *weights, size_t taps, size_t channels);
/// One token with the same bits: output[c] = silu(sum over j of weights[j * channels + c] *
/// inputs[j][c]).
void kiln_short_convolution_token(
    enum kiln_instruction_set set, const float *const *inputs, const float *weights, size_t taps,
    float *output, size_t channels);

// Kimi delta attention --------------------------------------------------------------------------------

/// One head of one sequence. Rows are tokens; a stride is the distance of two rows in floats.
struct kiln_delta_head {
  size_t tokens, key_dimension, value_dimension;
  size_t key_stride, value_stride, beta_stride;
  /// [tokens, key_dimension]; queries and keys as projected, the log decay at most 0.
  const float *queries, *keys, *log_decay;
  /// [tokens, value_dimension]; replaced by the outputs.
  float *values;
  /// [tokens]
  const float *beta;
  /// [key_dimension, value_dimension], contiguous; replaced by the state after the last token.
  float *state;
};

/// Floats of scratch memory that `kiln_delta_passes` needs for a head.
size_t kiln_delta_passes_workspace(const struct kiln_delta_head *head);
/// The recurrence as it reads, in plain loops: the reference of the other two.
void kiln_delta_passes(
    enum kiln_instruction_set set, const struct kiln_delta_head *head, float *workspace);

/// Floats of scratch memory that `kiln_delta_recurrent` needs.
size_t kiln_delta_recurrent_workspace(const struct kiln_delta_head *head, size_t heads);
/// `heads` neighbouring heads of one sequence, the first of which is given, a run of tokens at a time:
/// rows of neighbours lie side by side, and are read while they are near.
void kiln_delta_recurrent(
    enum kiln_instruction_set set, const struct kiln_delta_head *head, size_t heads,
    float *workspace);

/// Floats of scratch memory that `kiln_delta_chunkwise` needs.
size_t kiln_delta_chunkwise_workspace(
    const struct kiln_delta_head *head, size_t heads, size_t chunk);
/// Neighbouring heads as for `kiln_delta_recurrent`, `chunk` tokens at a time.
void kiln_delta_chunkwise(
    enum kiln_instruction_set set, const struct kiln_delta_head *head, size_t heads, size_t chunk,
    float *workspace);

#endif
