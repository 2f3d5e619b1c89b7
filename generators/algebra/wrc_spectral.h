// The spectral solver of weighted reverse convolution (arXiv 2605.17472) and its adjoint, on half spectra. With B the
// kernel's spectrum, Ft and Fq those of the weighted samples and of the weighted map, P and W the spatial maps of
// weights and fold the mean over the frequencies congruent modulo the low-res size,
//     R = conj(B) Ft + Fq    f = fold(B R)    m = W / (W fold(|B|^2) + fold(P))    X = (R - conj(B) m f) / P
// P and m have no symmetry, and the real part of the inverse transform is taken. That is the inverse transform of X's
// Hermitian part,
//     alpha R - beta conj(B) f,    alpha = even part of 1 / P,    beta = even part of m / P
// so half of all frequencies do.
#pragma once

#include "algebra/complex.h"
#include "algebra/half_spectrum.h"

namespace upwell {

struct WrcSpectralProblem {
    Halide::Func spectrum;      // part, x, y, block, c: Fq
    Halide::Func samples;       // part, x, y, c: Ft
    Halide::Func precision;     // x, y, block, c: P, all columns
    Halide::Func data_weight;   // x, y, c: W, all columns
    Halide::Func kernel;        // x, y, c
    Halide::Func column_waves;  // part, x, tap: what column `tap` of the kernel adds to a column of B
    Halide::Func row_waves;     // part, y, block, tap
    Halide::Expr kernel_columns, kernel_rows;
    SpectrumSize size;
    Halide::Type type;
};

// What both directions start from.
struct WrcSpectralFit {
    explicit WrcSpectralFit(const WrcSpectralProblem &problem);

    // alpha, and the odd part of 1 / P.
    std::pair<Halide::Expr, Halide::Expr> inverse_precision() const;
    Halide::Expr beta(const Halide::Expr &even, const Halide::Expr &odd) const;
    Halide::Expr mean(const Halide::Expr &sum) const;

    // At a low-res frequency, or at its negative.
    struct Balance {
        Halide::Expr data_weight, precision, denominator;  // W, fold(P), W fold(|B|^2) + fold(P)
    };
    Balance balance(bool negative) const;

    WrcSpectralProblem problem;
    Halide::Func kernel_columns, kernel_column_sum;  // x, iy, c: the kernel's rows transformed
    Halide::Func kernel_spectrum, kernel_sum;        // x, y, block, c: B
    Spread samples;                                  // Ft
    Halide::Func right;                              // R
    Fold folded;                                     // of B R and |B|^2
    Halide::RDom blocks;                             // of columns, of rows
    Halide::Func precision_sum;                      // x, y, c: of P, all low-res columns
    Halide::Func low_model;                          // f, even and odd part of m
    Spread model;
};

struct WrcSpectral {
    explicit WrcSpectral(const WrcSpectralProblem &problem);

    WrcSpectralFit start;
    Halide::Func output;  // part, x, y, block, c
};

// d_output: part, x, y, block, c: G, the gradient with respect to the whole spectrum.
struct WrcSpectralBackward {
    WrcSpectralBackward(const WrcSpectralProblem &problem, Halide::Func d_output);

    WrcSpectralFit start;
    Halide::Func d_output;  // x, y, block, c
    Halide::Func inverse;   // alpha, the odd part of 1 / P
    Fold d_folded;          // of beta B G, and of the even and odd part of the gradient of m
    // Gradients of f and of the even part of fold(|B|^2); even and odd part of the gradient of P through fold(P); the
    // gradient of W at the frequency and at the negative one.
    Halide::Func d_low;
    Spread d_model;                  // the first five
    Halide::Func d_right;            // gradients of R, and of P at the frequency and at the negative one
    Fold d_sampled;                  // of B times the gradient of R
    Halide::Func d_kernel_spectrum;  // x, y, block, c
    Halide::RDom rows, columns;
    Halide::Func d_kernel_rows;  // x, iy, c
    Halide::Func d_kernel_sum;   // x, y, c
    Join whole_precision, whole_data_weight;
    Halide::Func d_spectrum, d_samples, d_precision, d_data_weight, d_kernel;
};

}  // namespace upwell
