// The reassembly family as plain loops in double over its definition: taps, sampling, border, softmax. No window, no
// tables, no schedule; slow, easy to believe. Maps are N, C, H, W, contiguous.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace upwell::reference {

enum class Border { Replicate, Zero, Masked };

struct Operator {
    std::string name;
    bool has_weights, softmax, bilinear;
    Border border;
};

inline const std::vector<Operator> &operators() {
    static const std::vector<Operator> all{
        {"fns", true, true, true, Border::Masked},
        {"carafe", true, true, false, Border::Zero},
        {"carafe_masked", true, true, false, Border::Masked},
        {"carafe_reassembly", true, false, false, Border::Zero},
        {"bilinear", false, false, true, Border::Replicate},
        {"nearest", false, false, false, Border::Replicate},
    };
    return all;
}

inline const Operator &find(const std::string &name) {
    return *std::find_if(operators().begin(), operators().end(), [&](const Operator &op) { return op.name == name; });
}

struct Problem {
    Operator op;
    int kernel;
    int N, C, h, w, H, W;
    int mask_ratio = 0;  // high-res pixels between two taps, for fns' mask only; 0: the true ratio

    size_t low_size() const { return size_t(N) * C * h * w; }
    size_t high_size() const { return size_t(N) * C * H * W; }
    size_t weight_size() const { return op.has_weights ? size_t(N) * kernel * kernel * H * W : 0; }
};

struct Position {
    int base;
    double fraction;
};

// u(p) = (p + 1/2) low / high - 1/2 for bilinear samples, else the cell floor(p low / high).
inline Position position(const Operator &op, int p, int low, int high) {
    const int numerator = op.bilinear ? (2 * p + 1) * low - high : p * low, denominator = op.bilinear ? 2 * high : high;
    int base = numerator / denominator;
    while (base * denominator > numerator) {  // division rounds to zero
        base--;
    }
    return {base, op.bilinear ? double(numerator - base * denominator) / denominator : 0.0};
}

// What one tap of a pixel reads along one axis.
struct AxisTap {
    bool takes_part;                // in the softmax
    int cells[2];                   // low-res
    double shares[2] = {0.0, 0.0};  // of these cells
};

inline std::vector<AxisTap> axis_taps(const Operator &op, int kernel, int p, int low, int high, int mask_ratio) {
    const Position at = position(op, p, low, high);
    std::vector<AxisTap> taps;
    for (int offset = -(kernel / 2); offset <= kernel / 2; offset++) {
        const int cell = at.base + offset;
        const bool cell_inside = 0 <= cell && cell < low;
        const int step = mask_ratio > 0 ? mask_ratio * low : high, pixel = p * low + offset * step;  // both times low
        const bool pixel_inside = 0 <= pixel && pixel <= (high - 1) * low;
        AxisTap tap{op.border != Border::Masked || (op.bilinear ? pixel_inside : cell_inside), {0, 0}, {0.0, 0.0}};
        if (op.bilinear) {
            const double t = std::clamp(cell + at.fraction, 0.0, low - 1.0);
            tap.cells[0] = int(t);
            tap.cells[1] = std::min(int(t) + 1, low - 1);
            tap.shares[0] = 1 - (t - int(t));
            tap.shares[1] = t - int(t);
        } else if (cell_inside) {
            tap.cells[0] = tap.cells[1] = cell;
            tap.shares[0] = 1;
        }
        taps.push_back(tap);
    }
    return taps;
}

// given: a pixel's weights or logits, one per tap.
inline std::vector<double> normalise(const Operator &op, const std::vector<double> &given,
                                     const std::vector<bool> &takes_part) {
    if (!op.softmax) {
        return given;
    }
    std::vector<double> weights(given.size());
    double total = 0;
    for (size_t i = 0; i < given.size(); i++) {
        weights[i] = takes_part[i] ? std::exp(given[i]) : 0.0;
        total += weights[i];
    }
    for (double &weight : weights) {
        weight /= total;
    }
    return weights;
}

struct Inputs {
    std::vector<double> value, weight, d_output;
};

struct Result {
    std::vector<double> output, d_value, d_weight;
};

inline Result evaluate(const Problem &q, const Inputs &in) {
    Result result{std::vector<double>(q.high_size()), std::vector<double>(q.low_size()),
                  std::vector<double>(q.weight_size())};
    const int K = q.kernel;
    for (int n = 0; n < q.N; n++) {
        for (int y = 0; y < q.H; y++) {
            for (int x = 0; x < q.W; x++) {
                const auto rows = axis_taps(q.op, K, y, q.h, q.H, q.mask_ratio);
                const auto columns = axis_taps(q.op, K, x, q.w, q.W, q.mask_ratio);
                const auto at = [&](int tap) { return ((size_t(n) * K * K + tap) * q.H + y) * q.W + x; };
                std::vector<double> given(K * K, 1.0), d_tap(K * K, 0.0);
                std::vector<bool> takes_part(K * K);
                for (int i = 0; i < K * K; i++) {
                    takes_part[i] = rows[i / K].takes_part && columns[i % K].takes_part;
                    given[i] = q.op.has_weights ? in.weight[at(i)] : 1.0;
                }
                const std::vector<double> weights = normalise(q.op, given, takes_part);
                for (int i = 0; i < 4 * K * K; i++) {  // every tap, and the four cells it may read
                    const int tap = i / 4, row = i / 2 % 2, column = i % 2;
                    const AxisTap &on_rows = rows[tap / K], &on_columns = columns[tap % K];
                    const double share = on_rows.shares[row] * on_columns.shares[column];
                    for (int c = 0; c < q.C; c++) {
                        const size_t map = size_t(n) * q.C + c, pixel = (map * q.H + y) * q.W + x;
                        const size_t cell = (map * q.h + on_rows.cells[row]) * q.w + on_columns.cells[column];
                        result.output[pixel] += weights[tap] * share * in.value[cell];
                        result.d_value[cell] += weights[tap] * share * in.d_output[pixel];
                        d_tap[tap] += share * in.value[cell] * in.d_output[pixel];
                    }
                }
                double inner = 0;
                for (int i = 0; i < K * K; i++) {
                    inner += weights[i] * d_tap[i];
                }
                for (int i = 0; q.op.has_weights && i < K * K; i++) {
                    result.d_weight[at(i)] = q.op.softmax ? weights[i] * (d_tap[i] - inner) : d_tap[i];
                }
            }
        }
    }
    return result;
}

}  // namespace upwell::reference
