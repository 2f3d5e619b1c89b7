// What can be tuned in a schedule, declared beside it: the tuner (autotune/tune/) reads these declarations.
#pragma once

#include "Halide.h"

#include <functional>
#include <string>
#include <vector>

namespace upwell {

class Knob;

// The knobs of a family derive from this.
struct Knobs {
    Halide::GeneratorParam<std::string> space_file{"space", ""};  // where to write this kernel's space; "": nowhere
    std::vector<const Knob *> all;
};

// A number that a schedule takes from outside. Every value that its space allows gives the same answer. 0, the default:
// the schedule's own choice, made by hand.
class Knob : public Halide::GeneratorParam<int> {
public:
    // family: what it is a member of.
    Knob(Knobs *family, const char *name) : GeneratorParam(name, 0) { family->all.push_back(this); }
};

// What the knobs of one kernel may be, for its problem and target, and what the hand schedule takes.
class Space {
public:
    // values: all that are worth trying, ascending; the hand schedule's is added where it is missing.
    void add(const Knob &knob, std::string meaning, int hand, std::vector<int> values);

    // text: what has to hold, for people, e.g. "a block of rows divides the ratio".
    void require(std::string text, std::function<bool(const Space &)> holds);

    // The value in use: the knob's own, or the hand schedule's where it is 0. The knob is one of this space.
    int operator[](const Knob &knob) const;

    // Refuses knobs of the family that this kernel does not have, and values that are not in the space or break a rule
    // (std::invalid_argument, with the knob or the rule), and writes the space where it is asked for.
    void settle(const Knobs &knobs) const;

private:
    struct Entry {
        std::string name, meaning;
        std::vector<int> values;
        int hand, value;
    };
    struct Rule {
        std::string text;
        std::function<bool(const Space &)> holds;
    };

    const Entry *find(const Knob &knob) const;
    const Rule *broken_rule() const;
    void write(const std::string &file) const;

    std::vector<Entry> entries;
    std::vector<Rule> rules;
};

}  // namespace upwell
