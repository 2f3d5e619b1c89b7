// NAF's published window.
#include "dilated.h"

#include <algorithm>

#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/zeros.h>

#include "rows.h"

namespace upwell::nn {
namespace {

using at::Tensor;

// How often each of m pixels meets each of n cells along an axis: m,n.
Tensor meetings(int64_t n, int64_t m, int64_t kernel) {
    Tensor counts = at::zeros({m, n}, at::kDouble);
    auto count = counts.accessor<double, 2>();
    const int64_t step = m / n;
    for (int64_t p = 0; p < m; p++) {
        const int64_t places = (m - p % step + step - 1) / step;  // p mod step, and every step-th from there
        const int64_t first = std::min(std::max<int64_t>(p / step - kernel / 2, 0), places - kernel);
        for (int64_t i = first; i < first + kernel; i++) {
            count[p][(2 * (p % step + step * i) + 1) * n / (2 * m)]++;
        }
    }
    return counts;
}

// The first and the last of the columns of a table that are not 0 everywhere.
std::pair<int64_t, int64_t> columns_met(const Tensor &table) {
    const Tensor met = table.sum(0).nonzero();
    return {met[0].item<int64_t>(), met[-1].item<int64_t>()};
}

}  // namespace

Tensor dilated_attention(const Tensor &query, const Tensor &key, const Tensor &value, int64_t heads, int64_t kernel) {
    const int64_t N = query.size(0), H = query.size(2), W = query.size(3), h = key.size(2), w = key.size(3);
    const Tensor rows = meetings(h, H, kernel);  // on the CPU, where chunks are cut
    const Tensor row_shares = rows.log().to(query.options());
    const Tensor column_shares = meetings(w, W, kernel).log().to(query.options()).unsqueeze(1);
    const auto by_head = [&](const Tensor &x) { return x.unflatten(1, {heads, x.size(1) / heads}); };
    const Tensor q = by_head(query), k = by_head(key), v = by_head(value);  // N,heads,channels,rows,columns
    const int64_t elements = (N * heads + 1) * W * std::min(h, kernel + 1) * w;
    return in_chunks_of_rows(H, elements, [&](int64_t first, int64_t end) {
        const auto [top, bottom] = columns_met(rows.narrow(0, first, end - first));
        const auto cells = [&, top = top, count = bottom - top + 1](const Tensor &x) {
            return x.narrow(3, top, count).flatten(3).mT();
        };
        const Tensor of_rows = row_shares.narrow(0, first, end - first).narrow(1, top, bottom - top + 1);
        const Tensor shares = of_rows.unsqueeze(1).unsqueeze(3) + column_shares;  // R,W,cell rows,w
        const Tensor output = at::scaled_dot_product_attention(q.narrow(3, first, end - first).flatten(3).mT(),
                                                               cells(k), cells(v), shares.flatten(2).flatten(0, 1));
        return output.mT().unflatten(3, {end - first, W}).flatten(1, 2);
    });
}

}  // namespace upwell::nn
