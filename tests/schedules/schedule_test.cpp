// Every generator, compiled in memory with its default schedule and with its CPU schedule, against plain loops: a
// schedule decides when and where, never what.
#include <future>

#include "support/catch.h"
#include "support/generator.h"

using namespace upwell;
using namespace upwell::test;
using Halide::Float;
using Halide::Target;

namespace {

const Halide::GeneratorParamsMap unscheduled{{"default_schedule", "true"}};

struct Check {
    Check(Variant variant, Halide::GeneratorParamsMap more = {}, Target target = Halide::get_host_target())
        : variant(std::move(variant)), more(std::move(more)), target(std::move(target)) {}

    Variant variant;
    Halide::GeneratorParamsMap more;
    Target target;
};

int usual_kernel(const reference::Operator &op) {
    return op.has_weights ? 3 : 1;
}

std::vector<Direction> directions(const reference::Operator &op) {
    std::vector<Direction> all{Direction::Forward, Direction::DValue};
    if (op.has_weights) {
        all.push_back(Direction::DWeight);
    }
    return all;
}

// Every operator in every direction.
std::vector<Check> every_generator(int ratio, Halide::Type type, const Halide::GeneratorParamsMap &more = {}) {
    std::vector<Check> checks;
    for (const reference::Operator &op : reference::operators()) {
        for (const Direction direction : directions(op)) {
            checks.emplace_back(Variant(op, direction, usual_kernel(op), ratio, type), more);
        }
    }
    return checks;
}

// One pixel, odd, narrower than a vector, wider than two, more rows than a task has, channels that no block divides.
std::vector<reference::Problem> problems(const Variant &v) {
    const auto exact = [&](int N, int C, int h, int w) {
        return reference::Problem{v.op, v.kernel, N, C, h, w, h * v.ratio, w * v.ratio};
    };
    if (v.ratio > 4) {
        return {exact(1, 1, 1, 1), exact(3, 5, 3, 2), exact(1, 19, 1, 5)};
    }
    if (v.ratio > 0) {
        return {exact(1, 1, 1, 1), exact(3, 5, 3, 5), exact(1, 33, 2, 3), exact(2, 18, 1, 7), exact(1, 3, 13, 21)};
    }
    std::vector<reference::Problem> any{
        {v.op, v.kernel, 1, 1, 1, 1, 1, 1},     {v.op, v.kernel, 1, 2, 1, 1, 7, 5},
        {v.op, v.kernel, 3, 5, 5, 7, 13, 16},   {v.op, v.kernel, 2, 3, 9, 6, 4, 3},
        {v.op, v.kernel, 1, 70, 14, 3, 16, 40}, {v.op, v.kernel, 1, 4, 3, 5, 6, 10},
        {v.op, v.kernel, 1, 17, 6, 4, 1, 1},
    };
    if (v.op.name == "fns") {
        any.push_back({v.op, v.kernel, 2, 3, 5, 7, 13, 16, 3});  // the published mask: whole pixels between taps
        any.push_back({v.op, v.kernel, 2, 3, 5, 7, 13, 16, 1});
    }
    return any;
}

// What is wrong, or nothing.
std::string failure(const Check &check) {
    std::string where = check.variant.describe();
    for (const auto &[name, value] : check.more) {
        where += " " + name + "=" + value;
    }
    where += " for " + check.target.to_string();
    try {
        const Halide::Callable kernel = compile(check.variant, check.more, check.target);
        for (const reference::Problem &q : problems(check.variant)) {
            const reference::Inputs in = random_inputs(q);
            const double error = worst_error(run(kernel, check.variant, q, in), expected(check.variant, q, in));
            if (!(error < tolerance(check.variant))) {
                return where + " is " + std::to_string(error) + " off at N,C,h,w,H,W = " + describe(q);
            }
        }
    } catch (const std::exception &error) {
        return where + ": " + error.what();
    }
    return "";
}

// Two at a time: most of the time goes into compiling.
void check_all(const std::vector<Check> &checks) {
    const auto every_other = [&](size_t first) {
        std::vector<std::string> failures;
        for (size_t i = first; i < checks.size(); i += 2) {
            failures.push_back(failure(checks[i]));
        }
        return failures;
    };
    std::future<std::vector<std::string>> odd = std::async(std::launch::async, every_other, 1);
    for (const std::vector<std::string> &failures : {every_other(0), odd.get()}) {
        for (const std::string &message : failures) {
            CHECK(message == "");
        }
    }
}

void append(std::vector<Check> &to, const std::vector<Check> &checks) {
    to.insert(to.end(), checks.begin(), checks.end());
}

}  // namespace

TEST_CASE("every algorithm is right with the default schedule", "[schedule]") {
    std::vector<Check> checks = every_generator(2, Float(32), unscheduled);
    append(checks, every_generator(3, Float(64), unscheduled));
    append(checks, every_generator(0, Float(32), unscheduled));
    check_all(checks);
}

TEST_CASE("every CPU schedule of an exact ratio is right", "[schedule]") {
    std::vector<Check> checks = every_generator(2, Float(64));
    for (const int ratio : {3, 8}) {
        append(checks, every_generator(ratio, Float(32)));
    }
    check_all(checks);
}

TEST_CASE("every ratio has a right CPU schedule", "[schedule]") {
    std::vector<Check> checks;
    for (const int ratio : {1, 4, 5, 16, 32}) {
        for (const Direction direction : directions(reference::find("fns"))) {
            checks.emplace_back(Variant(reference::find("fns"), direction, 3, ratio));
        }
    }
    check_all(checks);
}

TEST_CASE("every CPU schedule of any size is right", "[schedule]") {
    std::vector<Check> checks = every_generator(0, Float(32));
    append(checks, every_generator(0, Float(64)));
    check_all(checks);
}

TEST_CASE("maps of few channels have right algorithms and CPU schedules", "[schedule]") {
    std::vector<Check> checks = every_generator(0, Float(32), {{"few_channels", "true"}});
    append(checks, every_generator(0, Float(64), {{"few_channels", "true"}, {"default_schedule", "true"}}));
    check_all(checks);
}

TEST_CASE("larger kernels are right", "[schedule]") {
    std::vector<Check> checks;
    for (const char *name : {"fns", "carafe"}) {
        for (const Direction direction : directions(reference::find(name))) {
            checks.emplace_back(Variant(reference::find(name), direction, 5, 4));
        }
        checks.emplace_back(Variant(reference::find(name), Direction::Forward, 7, 0));
    }
    check_all(checks);
}

TEST_CASE("schedules for narrower vectors are right", "[schedule]") {
    std::vector<Check> checks;
    for (const char *target : {"x86-64-linux", "x86-64-linux-sse41-avx-f16c-fma-avx2"}) {
        for (const Direction direction : directions(reference::find("fns"))) {
            for (const int ratio : {0, 3}) {
                checks.emplace_back(Variant(reference::find("fns"), direction, 3, ratio), Halide::GeneratorParamsMap{},
                                    Target(target));
            }
        }
    }
    const Target host = Halide::get_host_target();
    for (const Check &check : checks) {
        if (check.target.has_feature(Target::AVX2) && !host.has_feature(Target::AVX2)) {
            WARN("skipped: " << check.target.to_string() << " does not run here");
            return;
        }
    }
    check_all(checks);
}
