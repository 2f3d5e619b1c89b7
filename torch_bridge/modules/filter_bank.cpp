// AnyUp's filter bank.
#include "filter_bank.h"

#include <cmath>
#include <numbers>
#include <vector>

#include <ATen/ops/arange.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/im2col.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/stack.h>

#include "rows.h"

namespace upwell::nn {
namespace {

using at::Tensor;

// How many taps around each place lie inside: length.
Tensor taps_inside(int64_t length, int64_t kernel, const at::TensorOptions &options) {
    const Tensor place = at::arange(length, options);
    const int64_t around = kernel / 2;
    return place.clamp_max(around) + (length - 1 - place).clamp_max(around) + 1;
}

// The first count derivatives of a 2-D Gaussian by falling order in the rows, all of an order before the next:
// count,k,k. The outermost taps are at 1.645 sigma, beyond which lie a tenth of a Gaussian; a derivative is by x/sigma.
Tensor gaussian_derivatives(int64_t count, int64_t kernel) {
    const int64_t half = kernel / 2;
    const double sigma = static_cast<double>(half) / 1.645;
    const Tensor z = at::arange(-half, half + 1, at::kDouble) / sigma;
    const Tensor gaussian = at::exp(-z.square() / 2) / (sigma * std::sqrt(2 * std::numbers::pi));
    std::vector<Tensor> hermite{at::ones_like(z), z}, along, bank;  // the n-th derivative is (-1)^n He_n(z) times it
    while (static_cast<int64_t>(bank.size()) < count) {
        const int64_t order = static_cast<int64_t>(along.size());
        if (order >= 2) {
            hermite.push_back(z * hermite[order - 1] - (order - 1) * hermite[order - 2]);
        }
        along.push_back((order % 2 == 0 ? 1 : -1) * hermite[order] * gaussian);
        for (int64_t n = 0; n <= order && static_cast<int64_t>(bank.size()) < count; n++) {
            bank.push_back(at::outer(along[order - n], along[n]));
        }
    }
    return at::stack(bank).to(at::kFloat);
}

}  // namespace

FilterBankImpl::FilterBankImpl(int64_t count, int64_t kernel, bool of_gaussian)
    : filters(count), kernel_size(kernel), gaussian(of_gaussian) {
    reset();
}

void FilterBankImpl::reset() {
    const int64_t k = kernel_size;
    const Tensor start = gaussian ? gaussian_derivatives(filters, k) : at::randn({filters, k, k});
    basis = register_parameter("basis", start.unsqueeze(1));
}

Tensor FilterBankImpl::forward(const Tensor &x) {
    const int64_t N = x.size(0), C = x.size(1), h = x.size(2), w = x.size(3), L = filters, k = kernel_size;
    const int64_t around = k / 2;
    const Tensor padded = at::constant_pad_nd(x, {around, around, around, around});
    const Tensor inside = at::outer(taps_inside(h, k, x.options()), taps_inside(w, k, x.options()));
    const Tensor flat = basis.reshape({L, k * k});
    return in_chunks_of_rows(h, N * C * (L + k * k) * w, [&](int64_t first, int64_t end) {
        const Tensor rows = padded.narrow(2, first, end - first + 2 * around);
        const Tensor patches = at::im2col(rows, {k, k}, {1, 1}, {0, 0}, {1, 1}).unflatten(1, {C, k * k});
        const Tensor responses = at::matmul(flat, patches) / inside.narrow(0, first, end - first).flatten();
        const Tensor mixed = responses.flatten(1, 2).unflatten(1, {L, C});
        return mixed.softmax(1).mean(2).unflatten(2, {end - first, w});
    });
}

}  // namespace upwell::nn
