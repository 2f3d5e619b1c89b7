// Calls a made-up operator by its name: of a constant map it gives the constant.
#include <cmath>
#include <cstdio>
#include <vector>

#include "upwell.h"

int main() {
    using upwell::Dtype;
    std::vector<float> value(20, 2.5f), key(20, 0.3f), query(80, 0.7f), output(80);
    const upwell::Tensor v{value.data(), Dtype::Float32, {1, 1, 4, 5}}, k{key.data(), Dtype::Float32, {1, 1, 4, 5}},
        q{query.data(), Dtype::Float32, {1, 1, 8, 10}}, o{output.data(), Dtype::Float32, {1, 1, 8, 10}};
    upwell::run("likeness", {{"value", v}, {"key", k}, {"query", q}, {"kernel", 3}, {"output", o}});
    for (const float each : output) {
        if (std::abs(each - 2.5f) > 1e-5f) {
            std::printf("main: should be 2.5 but is %g\n", each);
            return 1;
        }
    }
    std::puts("main: the operator is there, without torch");
}
