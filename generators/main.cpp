// The compiler of described operators, as a program:
//
//     upwell.generator [--operators LIBRARY] -g GENERATOR ...             a generator program of Halide's
//     upwell.generator [--operators LIBRARY] --describe [KERNEL...]
//
// --operators: a shared library with descriptions, beside those inside. --describe prints what operators there are, in
// the library if there is one, after each was described for so many taps per side.
#include <dlfcn.h>

#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "Halide.h"
#include "language/description.h"

namespace {

using Authors = std::vector<const upwell::Author *>;

Authors authors() {
    Authors all;
    upwell::for_each_author([&](const upwell::Author &author) { all.push_back(&author); });
    return all;
}

// Those in the library.
Authors load(const std::string &library) {
    const size_t before = authors().size();
    if (!dlopen(library.c_str(), RTLD_NOW)) {
        throw std::runtime_error(dlerror());
    }
    for (const std::string &refusal : upwell::take_refusals()) {
        throw std::runtime_error(refusal);
    }
    const Authors after = authors();
    if (after.size() == before) {
        throw std::runtime_error(library + " describes no operator: UPWELL_OPERATOR(name, doc) { ... } does");
    }
    return {after.begin() + before, after.end()};
}

void describe(const Authors &chosen, const std::vector<std::string> &kernels) {
    for (const upwell::Author *author : chosen) {
        for (const std::string &kernel : kernels) {
            upwell::windows(*author, std::stoi(kernel));
        }
    }
    std::cout << upwell::as_json(chosen) << '\n';
}

}  // namespace

int main(int argc, char **argv) {
    try {
        std::vector<char *> rest{argv, argv + argc};
        Authors chosen = authors();
        if (argc > 2 && rest[1] == std::string("--operators")) {
            chosen = load(rest[2]);
            rest.erase(rest.begin() + 1, rest.begin() + 3);
        }
        if (rest.size() > 1 && rest[1] == std::string("--describe")) {
            describe(chosen, {rest.begin() + 2, rest.end()});
            return 0;
        }
        return Halide::Internal::generate_filter_main(static_cast<int>(rest.size()), rest.data());
    } catch (const std::exception &error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
}
