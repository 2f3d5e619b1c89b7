// The guided filter by its definition: plain loops in double.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace upwell::reference {

struct GuidedFilter {
    int planes, H, W, h, w;  // guide H x W, input h x w
    int radius, scale;
    bool centred = false;  // samples are put back where they came from; else as if each were the centre of its block
    double eps = 0.01;

    int sample_rows() const { return std::max(H / scale, 1); }
    int sample_columns() const { return std::max(W / scale, 1); }
};

// Where a pixel falls between two cells.
struct Between {
    int lower, upper;
    double fraction;
};

inline Between between(double position, int low) {
    const double inside = std::min(std::max(position, 0.0), low - 1.0);
    const int lower = int(std::floor(inside));
    return {lower, std::min(lower + 1, low - 1), inside - lower};
}

// Pixel p of high in an image of low cells (align_corners = False).
inline Between half_pixel(int p, int low, int high) {
    return between((p + 0.5) * low / high - 0.5, low);
}

inline Between sample_of_pixel(const GuidedFilter &q, int p, int samples, int pixels) {
    return q.centred ? between(double(p) / q.scale, samples) : half_pixel(p, samples, pixels);
}

using Plane = std::vector<double>;

inline double bilinear(const Plane &cells, int width, const Between &row, const Between &column) {
    const auto along_x = [&](int y) {
        return (1 - column.fraction) * cells[y * width + column.lower] +
               column.fraction * cells[y * width + column.upper];
    };
    return (1 - row.fraction) * along_x(row.lower) + row.fraction * along_x(row.upper);
}

// Mean over the pixels of the (2 radius + 1)^2 box that are inside.
inline Plane box_mean(const Plane &f, int height, int width, int radius) {
    Plane means(f.size());
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            double sum = 0;
            int count = 0;
            for (int v = std::max(0, y - radius); v <= std::min(height - 1, y + radius); v++) {
                for (int u = std::max(0, x - radius); u <= std::min(width - 1, x + radius); u++) {
                    sum += f[v * width + u];
                    count++;
                }
            }
            means[y * width + x] = sum / count;
        }
    }
    return means;
}

inline Plane product(const Plane &a, const Plane &b) {
    Plane p(a.size());
    std::transform(a.begin(), a.end(), b.begin(), p.begin(), [](double u, double v) { return u * v; });
    return p;
}

// One plane: guide H x W, input h x w -> H x W.
inline Plane filter_plane(const GuidedFilter &q, const double *guide, const double *input) {
    const int Hs = q.sample_rows(), Ws = q.sample_columns();
    const Plane key(input, input + q.h * q.w);
    Plane I(Hs * Ws), p(Hs * Ws), a(Hs * Ws), b(Hs * Ws);
    for (int y = 0; y < Hs; y++) {
        for (int x = 0; x < Ws; x++) {
            I[y * Ws + x] = guide[y * q.scale * q.W + x * q.scale];
            p[y * Ws + x] = bilinear(key, q.w, half_pixel(y * q.scale, q.h, q.H), half_pixel(x * q.scale, q.w, q.W));
        }
    }
    const auto mean = [&](const Plane &f) { return box_mean(f, Hs, Ws, q.radius); };
    const Plane mean_I = mean(I), mean_p = mean(p), mean_Ip = mean(product(I, p)), mean_II = mean(product(I, I));
    for (size_t i = 0; i < I.size(); i++) {
        a[i] = (mean_Ip[i] - mean_I[i] * mean_p[i]) / (mean_II[i] - mean_I[i] * mean_I[i] + q.eps);
        b[i] = mean_p[i] - a[i] * mean_I[i];
    }
    const Plane mean_a = mean(a), mean_b = mean(b);
    Plane output(q.H * q.W);
    for (int y = 0; y < q.H; y++) {
        for (int x = 0; x < q.W; x++) {
            const Between row = sample_of_pixel(q, y, Hs, q.H), column = sample_of_pixel(q, x, Ws, q.W);
            output[y * q.W + x] =
                bilinear(mean_a, Ws, row, column) * guide[y * q.W + x] + bilinear(mean_b, Ws, row, column);
        }
    }
    return output;
}

// guide: planes, H, W; input: planes, h, w -> planes, H, W.
inline std::vector<double> filter(const GuidedFilter &q, const std::vector<double> &guide,
                                  const std::vector<double> &input) {
    std::vector<double> output;
    for (int plane = 0; plane < q.planes; plane++) {
        const Plane one = filter_plane(q, &guide[plane * q.H * q.W], &input[plane * q.h * q.w]);
        output.insert(output.end(), one.begin(), one.end());
    }
    return output;
}

}  // namespace upwell::reference
