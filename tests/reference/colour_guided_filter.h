// The guided filter with a guide of three channels by its definition: plain loops in double.
#pragma once

#include <array>

#include "reference/guided_filter.h"

namespace upwell::reference {

// Of the matrix whose columns are u, v, w.
using Column = std::array<double, 3>;

inline double determinant(const Column &u, const Column &v, const Column &w) {
    return u[0] * (v[1] * w[2] - v[2] * w[1]) - v[0] * (u[1] * w[2] - u[2] * w[1]) + w[0] * (u[1] * v[2] - u[2] * v[1]);
}

// One image and one channel of its input: guide 3 x H x W, input h x w -> H x W. q.planes says nothing.
inline Plane colour_filter_plane(const GuidedFilter &q, const double *guide, const double *input) {
    const int Hs = q.sample_rows(), Ws = q.sample_columns(), samples = Hs * Ws;
    const Plane key(input, input + q.h * q.w);
    const auto mean = [&](const Plane &f) { return box_mean(f, Hs, Ws, q.radius); };
    std::array<Plane, 3> I, mean_I, a;
    Plane p(samples), b(samples);
    for (int k = 0; k < 3; k++) {
        I[k].resize(samples);
        a[k].resize(samples);
    }
    for (int y = 0; y < Hs; y++) {
        for (int x = 0; x < Ws; x++) {
            for (int k = 0; k < 3; k++) {
                I[k][y * Ws + x] = guide[(k * q.H + y * q.scale) * q.W + x * q.scale];
            }
            p[y * Ws + x] = bilinear(key, q.w, half_pixel(y * q.scale, q.h, q.H), half_pixel(x * q.scale, q.w, q.W));
        }
    }
    const Plane mean_p = mean(p);
    std::array<Plane, 3> mean_Ip;
    std::array<std::array<Plane, 3>, 3> mean_II;
    for (int k = 0; k < 3; k++) {
        mean_I[k] = mean(I[k]);
        mean_Ip[k] = mean(product(I[k], p));
        for (int l = 0; l < 3; l++) {
            mean_II[k][l] = mean(product(I[k], I[l]));
        }
    }
    for (int i = 0; i < samples; i++) {
        std::array<Column, 3> S;
        Column covariance;
        for (int k = 0; k < 3; k++) {
            covariance[k] = mean_Ip[k][i] - mean_I[k][i] * mean_p[i];
            for (int l = 0; l < 3; l++) {
                S[l][k] = mean_II[k][l][i] - mean_I[k][i] * mean_I[l][i] + (k == l ? q.eps : 0);
            }
        }
        b[i] = mean_p[i];
        for (int k = 0; k < 3; k++) {  // Cramer's rule
            std::array<Column, 3> replaced = S;
            replaced[k] = covariance;
            a[k][i] = determinant(replaced[0], replaced[1], replaced[2]) / determinant(S[0], S[1], S[2]);
            b[i] -= a[k][i] * mean_I[k][i];
        }
    }
    const std::array<Plane, 3> mean_a{mean(a[0]), mean(a[1]), mean(a[2])};
    const Plane mean_b = mean(b);
    Plane output(q.H * q.W);
    for (int y = 0; y < q.H; y++) {
        for (int x = 0; x < q.W; x++) {
            const Between row = sample_of_pixel(q, y, Hs, q.H), column = sample_of_pixel(q, x, Ws, q.W);
            output[y * q.W + x] = bilinear(mean_b, Ws, row, column);
            for (int k = 0; k < 3; k++) {
                output[y * q.W + x] += bilinear(mean_a[k], Ws, row, column) * guide[(k * q.H + y) * q.W + x];
            }
        }
    }
    return output;
}

}  // namespace upwell::reference
