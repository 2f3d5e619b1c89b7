// The exact solver of weighted reverse convolution, per plane: X with
//     (A' W A + P) X = A' W data + Q
// by a system of low-res size. With g = sqrt(W / (1 + W d)), d the diagonal of A P^-1 A',
//     (E + G A P^-1 A' G) u = G (data - A P^-1 Q),  E = 1 / (1 + W d),  X = P^-1 (Q + A' G u)
// It is symmetric, positive definite, and of unit diagonal: where windows do not overlap it is the identity, and
// otherwise conjugate gradients solve it. Low-res maps that kernels pass each other have stored(columns) columns, those
// beyond the map zero.
#pragma once

#include "algebra/wrc_windows.h"

namespace upwell {

inline const Halide::Var kind("kind");

// a . b of a plane, always in the same order.
struct Dot {
    Halide::Func columns;  // x, c, n
    Halide::Func total;    // c, n
    Halide::RDom rows, row;
};

// The system: right side, G, E.
struct WrcStart {
    WrcStart(Halide::Func precision, Halide::Func weighted, Halide::Func data_weight, Halide::Func data,
             const WrcWindows &windows);

    WrcWindows windows;
    Places quotients;      // 1 / P, Q / P
    WindowSum sums;        // d, A P^-1 Q
    Halide::Func output;   // x, y, kind, c, n
    Dot square;            // of the right side
    Halide::Func squares;  // c, n
};

// What conjugate gradients start from, as WrcStep has it: solution 0, residual and direction the right side.
struct WrcFirst {
    WrcFirst(Halide::Func system, const WrcWindows &windows);

    WrcWindows windows;
    Halide::Func output;  // x, y, kind, c, n
};

// P^-1 by place, its columns repeated by what a window spans.
struct WrcReciprocals {
    WrcReciprocals(Halide::Func precision, const WrcWindows &windows);

    WrcWindows windows;
    Places places;
    Halide::Func output;  // x, place_x, place_y, y, c, n
};

// A step of conjugate gradients. state: solution, residual, direction; squares: of the residual. A plane whose square
// is no larger than its limit stays as it is.
struct WrcStep {
    WrcStep(Halide::Func reciprocals, Halide::Func system, Halide::Func state, Halide::Func squares,
            Halide::Func limits, const WrcWindows &windows);

    WrcWindows windows;
    Periodic direction;  // times G
    WindowSpread spread;
    Halide::Func scaled;  // by P^-1: x, place_x, place_y, y, c, n
    WindowSum back;
    Halide::Func product;   // of the system and the direction
    Dot curvature;          // direction . product
    Halide::Func residual;  // the next
    Dot square;             // of it
    Halide::Func output;    // x, y, kind, c, n
    Dot output_square;
    Halide::Func squares;  // c, n
};

// X = P^-1 (Q + A' G u).
struct WrcFinish {
    WrcFinish(Halide::Func precision, Halide::Func weighted, Halide::Func gain, Halide::Func solution,
              const PixelPlaces &x_places, const PixelPlaces &y_places, const WrcWindows &windows);

    WrcWindows windows;
    PixelSpread spread;
    Halide::Func output;  // x, y, c, n
};

// The same of the adjoint system: v, and - v X, the gradient of P.
struct WrcFinishBackward : WrcFinish {
    WrcFinishBackward(Halide::Func precision, Halide::Func d_output, Halide::Func gain, Halide::Func solution,
                      Halide::Func X, const PixelPlaces &x_places, const PixelPlaces &y_places,
                      const WrcWindows &windows);
};

// From X and v: the gradients - (A v) (A X - data) of W and W (A v) of data, and W (A X - data).
struct WrcLowGradients {
    WrcLowGradients(Halide::Func v, Halide::Func X, Halide::Func data_weight, Halide::Func data,
                    const WrcWindows &windows);

    WrcWindows windows;
    Places places;
    WindowSum sums;       // A v, A X
    Halide::Func output;  // x, y, c, n
};

// A plane's part of the kernel's gradient: - sum over samples of misfit v + d_data X at every pixel of the window.
struct WrcKernelGradient {
    WrcKernelGradient(Halide::Func v, Halide::Func X, Halide::Func misfit, Halide::Func d_data,
                      const WrcWindows &windows);

    WrcWindows windows;
    Places places;           // v, X
    Halide::Func low;        // misfit, d_data: x, y, c, n
    Halide::Func lane_sums;  // column, place x, cell x, place y, cell y, c, n
    Halide::RDom samples;    // every stored_multiple-th column, row
    Halide::RDom lanes;
    Halide::Func sum, output;  // place x, cell x, place y, cell y, c, n
};

}  // namespace upwell
