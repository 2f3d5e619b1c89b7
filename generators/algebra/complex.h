// Complex numbers as pairs of expressions, and as the two values of a function.
#pragma once

#include "Halide.h"

namespace upwell {

struct Complex {
    Halide::Expr re, im;

    Complex(Halide::Expr re, Halide::Expr im) : re(std::move(re)), im(std::move(im)) {}
    // Of a function's values `first` and the next one.
    explicit Complex(const Halide::FuncRef &values, int first = 0) : re(values[first]), im(values[first + 1]) {}

    operator Halide::Tuple() const { return {re, im}; }
};

inline Complex operator+(const Complex &a, const Complex &b) {
    return {a.re + b.re, a.im + b.im};
}
inline Complex operator-(const Complex &a, const Complex &b) {
    return {a.re - b.re, a.im - b.im};
}
inline Complex operator*(const Complex &a, const Complex &b) {
    return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
inline Complex operator*(const Halide::Expr &a, const Complex &b) {
    return {a * b.re, a * b.im};
}
inline Complex conj(const Complex &a) {
    return {a.re, -a.im};
}
// Re(conj(a) b).
inline Halide::Expr dot(const Complex &a, const Complex &b) {
    return a.re * b.re + a.im * b.im;
}

}  // namespace upwell
