#include "estimates.h"

#include <sstream>
#include <stdexcept>

namespace upwell {

using namespace Halide;

namespace {

Region parse_region(const std::string &name, const std::string &text, int dimensions) {
    Region region;
    std::istringstream ranges(text);
    for (std::string range; std::getline(ranges, range, ';');) {
        const size_t comma = range.find(',');
        if (comma == std::string::npos) {
            break;
        }
        region.emplace_back(std::stoi(range.substr(0, comma)), std::stoi(range.substr(comma + 1)));
    }
    if (int(region.size()) != dimensions) {
        throw std::invalid_argument("estimates: " + name + " should have " + std::to_string(dimensions) +
                                    " ranges `min,extent` but has " + text);
    }
    return region;
}

void estimate_input(Parameter parameter, const std::string &name, const std::string &text) {
    if (!parameter.is_buffer()) {
        parameter.set_estimate(cast(parameter.type(), Expr(std::stod(text))));
        return;
    }
    const Region region = parse_region(name, text, parameter.dimensions());
    for (int d = 0; d < parameter.dimensions(); d++) {
        parameter.set_min_constraint_estimate(d, region[d].min);
        parameter.set_extent_constraint_estimate(d, region[d].extent);
    }
}

}  // namespace

void set_estimates(Internal::AbstractGenerator &generator, const std::string &text) {
    std::istringstream words(text);
    for (std::string word; words >> word;) {
        const size_t colon = word.find(':');
        const std::string name = word.substr(0, colon), sizes = word.substr(std::min(colon, word.size() - 1) + 1);
        bool found = false;
        for (const auto &argument : generator.arginfos()) {
            if (argument.name != name) {
                continue;
            }
            found = true;
            if (argument.dir == Internal::ArgInfoDirection::Input) {
                estimate_input(generator.input_parameter(name).at(0), name, sizes);
            } else {
                for (Func output : generator.output_func(name)) {
                    output.set_estimates(parse_region(name, sizes, output.dimensions()));
                }
            }
        }
        if (!found) {
            throw std::invalid_argument("estimates: the generator has no argument '" + name + "'");
        }
    }
}

}  // namespace upwell
