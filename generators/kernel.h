// What every generator has, and how it states its arguments.
#pragma once

#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "Halide.h"
#include "estimates.h"
#include "schedules/place.h"

namespace upwell {

// Self has configure(), which adds its arguments, generate(), and place(), which schedules.
//
// An argument's sizes are names, innermost dimension first, as in "W,H,C,N": dimensions of one name have one extent,
// that of the first input that has it or what set_size() says. A number is itself.
template<class Self> class Kernel : public Halide::Generator<Self> {
    using Base = Halide::Generator<Self>;
    using Buffer = Halide::Buffer<void>;

public:
    Halide::GeneratorParam<Halide::Type> type{"type", Halide::Float(32)};
    Halide::GeneratorParam<bool> default_schedule{"default_schedule", false};  // the plainest one that ends
    Halide::GeneratorParam<std::string> estimates{"estimates", ""};            // sizes of a call, see estimates.h

    void schedule() {
        set_estimates(*this, estimates);
        if (!Base::using_autoscheduler()) {
            static_cast<Self *>(this)->place();
        }
    }

protected:
    using Input = Halide::GeneratorInput<Buffer> *;
    using Integer = Halide::GeneratorInput<int> *;
    using Real = Halide::GeneratorInput<Halide::Expr> *;
    using Output = Halide::GeneratorOutput<Buffer> *;

    // Of `type`, or of another; a table holds int32.
    Input map(const std::string &name, const std::string &sizes) { return map(name, sizes, type); }
    Input map(const std::string &name, const std::string &sizes, Halide::Type stored) {
        inputs.emplace_back(nullptr, split(sizes));
        auto &[input, names] = inputs.back();
        return input = Base::template add_input<Buffer>(name, stored, static_cast<int>(names.size()));
    }
    Input table(const std::string &name, const std::string &sizes) { return map(name, sizes, Halide::Int(32)); }
    Integer integer(const std::string &name) { return Base::template add_input<int>(name); }
    Real real(const std::string &name) { return Base::template add_input<Halide::Expr>(name, type); }
    // values: several of one place are a tuple.
    Output out(const std::string &name, const std::string &sizes, int values = 1) {
        return out(name, sizes, std::vector<Halide::Type>(values, type));
    }
    Output out(const std::string &name, const std::string &sizes, const std::vector<Halide::Type> &types) {
        outputs.emplace_back(nullptr, split(sizes));
        auto &[output, names] = outputs.back();
        return output = Base::template add_output<Buffer>(name, types, static_cast<int>(names.size()));
    }

    void set_size(const std::string &name, Halide::Expr size) { given[name] = size; }

    // Undefined where only outputs have it.
    Halide::Expr size(const std::string &name) const {
        if (const auto found = given.find(name); found != given.end()) {
            return found->second;
        }
        if (name.find_first_not_of("0123456789") == std::string::npos) {
            return std::stoi(name);
        }
        for (const auto &[input, names] : inputs) {
            for (size_t d = 0; d < names.size(); d++) {
                if (names[d] == name) {
                    return input->dim(static_cast<int>(d)).extent();
                }
            }
        }
        return {};
    }

    // Bounds of every argument, so that Halide's are exact and loops have no tails. After the outputs are defined.
    void fix_sizes() {
        for (const auto &[input, names] : inputs) {
            fix(*input, names);
        }
        fix_outputs();
    }
    void fix_outputs() {
        for (const auto &[output, names] : outputs) {
            fix_output(output, names);
        }
    }

    // What schedules are told and asked.
    Where where() const {
        return {Base::get_target(), Base::using_autoscheduler() ? Scheduled::Automatically
                                    : default_schedule          ? Scheduled::Plainly
                                                                : Scheduled::ByHand};
    }

private:
    using Names = std::vector<std::string>;

    static Names split(const std::string &sizes) {
        Names names;
        std::istringstream list(sizes);
        for (std::string name; std::getline(list, name, ',');) {
            names.push_back(name);
        }
        return names;
    }

    template<class Argument> void fix(Argument &&argument, const Names &names) const {
        for (size_t d = 0; d < names.size(); d++) {
            auto dimension = argument.dim(static_cast<int>(d));
            const Halide::Expr extent = size(names[d]);
            dimension.set_bounds(0, extent.defined() ? extent : dimension.extent());
        }
    }
    void fix_output(Output output, const Names &names) const {
        Halide::Func defined(*output);
        if (!defined.defined()) {
            throw std::logic_error("sizes of outputs are fixed once they are defined: until then Halide drops them");
        }
        fix(defined.output_buffers()[0], names);  // those of a tuple are alike
    }

    std::vector<std::pair<Input, Names>> inputs;
    std::vector<std::pair<Output, Names>> outputs;
    std::map<std::string, Halide::Expr> given;
};

}  // namespace upwell
