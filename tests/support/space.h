// The space of a generator's knobs, as it writes it for a tuner.
#pragma once

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <random>
#include <regex>
#include <stdexcept>
#include <string>
#include <vector>

#include <unistd.h>

#include "Halide.h"

namespace upwell::test {

// Schedules a generator, and compiles nothing.
inline void build(const std::string &generator, const Halide::Target &target,
                  const Halide::GeneratorParamsMap &parameters) {
    const auto made = Halide::Internal::GeneratorRegistry::create(generator, Halide::GeneratorContext(target));
    for (const auto &[name, value] : parameters) {
        made->set_generatorparam_value(name, value);
    }
    made->build_pipeline();
}

class KnobSpace {
public:
    using Point = Halide::GeneratorParamsMap;

    KnobSpace(const std::string &generator, const Halide::Target &target, Point parameters = {}) {
        char file[] = "/tmp/upwell_space_XXXXXX";
        const int opened = mkstemp(file);
        if (opened < 0) {
            throw std::runtime_error("no temporary file");
        }
        close(opened);
        parameters["space"] = file;
        build(generator, target, parameters);
        std::ifstream in(file);
        const std::string text(std::istreambuf_iterator<char>(in), {});
        std::remove(file);
        const std::regex knob(R"re("name": "(\w+)".*"values": \[([-\d, ]*)\], "hand": (-?\d+))re");
        for (std::sregex_iterator k(text.begin(), text.end(), knob), end; k != end; ++k) {
            names.push_back((*k)[1]);
            values.push_back(numbers((*k)[2]));
            hand_values.push_back(std::stoi((*k)[3]));
        }
        const std::string points = text.substr(text.find("\"legal\": ["));
        const std::regex line(R"re(\n  \[([\d, ]*)\])re");
        for (std::sregex_iterator p(points.begin(), points.end(), line), end; p != end; ++p) {
            legal.push_back(numbers((*p)[1]));
        }
    }

    size_t knobs() const { return names.size(); }
    size_t size() const { return legal.size(); }

    // How often a point is among the legal ones.
    size_t count(const Point &point) const {
        std::vector<int> place;
        for (size_t k = 0; k < names.size(); k++) {
            const auto found = std::find(values[k].begin(), values[k].end(), std::stoi(point.at(names[k])));
            place.push_back(int(found - values[k].begin()));
        }
        return std::count(legal.begin(), legal.end(), place);
    }

    Point hand() const {
        Point point;
        for (size_t k = 0; k < names.size(); k++) {
            point[names[k]] = std::to_string(hand_values[k]);
        }
        return point;
    }

    // Every time the same.
    std::vector<Point> sample(size_t count) const {
        std::vector<std::vector<int>> places;
        std::sample(legal.begin(), legal.end(), std::back_inserter(places), count, std::mt19937(1));
        std::vector<Point> points;
        for (const std::vector<int> &place : places) {
            Point &point = points.emplace_back();
            for (size_t k = 0; k < names.size(); k++) {
                point[names[k]] = std::to_string(values[k].at(place.at(k)));
            }
        }
        return points;
    }

private:
    static std::vector<int> numbers(const std::string &list) {
        std::vector<int> all;
        const std::regex number(R"(-?\d+)");
        for (std::sregex_iterator n(list.begin(), list.end(), number), end; n != end; ++n) {
            all.push_back(std::stoi(n->str()));
        }
        return all;
    }

    std::vector<std::string> names;
    std::vector<std::vector<int>> values, legal;
    std::vector<int> hand_values;
};

inline std::string describe(const Halide::GeneratorParamsMap &point) {
    std::string text;
    for (const auto &[name, value] : point) {
        text += (text.empty() ? "" : " ") + name + "=" + value;
    }
    return text;
}

}  // namespace upwell::test
