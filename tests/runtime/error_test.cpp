// Bad input from C++ is an exception that says what was wrong.
#include "support/catch.h"
#include "support/map.h"

using namespace upwell;
using test::Map;

namespace {

// A right call of fns, to be spoiled.
struct Call {
    Map<float> value{{2, 3, 4, 4}, 1}, logits{{2, 9, 8, 8}, 2}, output{{2, 3, 8, 8}};
    Parameters parameters{3, 1, 0};
    std::vector<Tensor> inputs{value.tensor(), logits.tensor()};
    Tensor out = output.tensor();
    std::string name = "fns";

    std::string message() {
        try {
            test::run_in_order(name, parameters, inputs, out);
        } catch (const Error &error) {
            return error.what();
        }
        return "no error";
    }
};

}  // namespace

TEST_CASE("a right call runs", "[error]") {
    CHECK(Call().message() == "no error");
}

TEST_CASE("an error has its operator and argument apart", "[error]") {
    Call call;
    call.inputs[1].sizes = {2, 8, 8, 8};
    try {
        test::run_in_order(call.name, call.parameters, call.inputs, call.out);
        FAIL("no error");
    } catch (const Error &error) {
        CHECK(error.operator_name() == "fns");
        CHECK(error.argument() == "logits");
        CHECK(error.message() == "should be [2, 9, 8, 8] but is [2, 8, 8, 8]");
        CHECK(std::string(error.what()) == "fns: logits should be [2, 9, 8, 8] but is [2, 8, 8, 8]");
    }
}

TEST_CASE("an unknown operator is refused with those there are", "[error]") {
    Call call;
    call.name = "trilinear";
    CHECK_THAT(call.message(), ContainsSubstring("carafe_reassembly_d_weight") && ContainsSubstring("'trilinear'"));
}

TEST_CASE("a kernel that was not built is refused with those that were", "[error]") {
    Call call;
    call.parameters.kernel = GENERATE(-3, 0, 1, 2, 4, 11, int64_t(1) << 40);
    CHECK_THAT(call.message(), ContainsSubstring("fns: kernel should be one of [3, 5, 7") &&
                                   ContainsSubstring("but is " + std::to_string(call.parameters.kernel)));
}

TEST_CASE("a parameter that the operator does not have is refused", "[error]") {
    Call call;
    for (const NamedArgument &other : {NamedArgument{"groups", int64_t(3)}, {"border", "zero"}}) {
        CHECK_THAT(test::message("fns", {{"value", call.inputs[0]},
                                         {"logits", call.inputs[1]},
                                         {"output", call.out},
                                         {"kernel", int64_t(3)},
                                         other}),
                   ContainsSubstring("fns: has no argument '" + other.name + "'; it takes"));
    }
    call.parameters.mask_ratio = -1;
    CHECK(call.message() == "fns: mask_ratio should be at least 1 but is -1");
}

TEST_CASE("groups that do not divide the channels are refused", "[error]") {
    Map<float> value({1, 3, 4, 4}), logits({1, 18, 8, 8}), output({1, 3, 8, 8});
    CHECK_THROWS_WITH(run("carafe", {{"value", value.tensor()},
                                     {"logits", logits.tensor()},
                                     {"kernel", 3},
                                     {"groups", 2},
                                     {"output", output.tensor()}}),
                      "carafe: groups should divide the 3 channels but is 2");
}

TEST_CASE("an input that is missing is refused", "[error]") {
    Call call;
    call.inputs.pop_back();
    CHECK(call.message() == "fns: logits is missing");
}

TEST_CASE("a wrong shape is refused", "[error]") {
    Call call;
    SECTION("rank") {
        call.inputs[0].sizes = {2, 3, 4};
        CHECK(call.message() == "fns: value should have 4 dimensions, N,C,h,w, but is [2, 3, 4]");
    }
    SECTION("batch") {
        call.inputs[1].sizes[0] = 1;
        CHECK(call.message() == "fns: logits should be [2, 9, 8, 8] but is [1, 9, 8, 8]");
    }
    SECTION("channels of the output") {
        call.out.sizes[1] = 4;
        CHECK(call.message() == "fns: output should be [2, 3, 8, 8] but is [2, 4, 8, 8]");
    }
    SECTION("no pixels") {
        call.inputs[0].sizes[2] = GENERATE(0, -1);
        CHECK_THAT(call.message(), ContainsSubstring("fns: value should have a height and width of at least 1"));
    }
    SECTION("negative batch") {
        call.inputs[0].sizes[0] = -2;
        CHECK_THAT(call.message(), ContainsSubstring("fns: value should have"));
    }
}

TEST_CASE("a mix of dtypes is refused", "[error]") {
    Call call;
    call.inputs[1].dtype = Dtype::Float64;
    CHECK(call.message() == "fns: logits should be float32 but is float64");
}

TEST_CASE("more elements than an int32 counts are refused before any is touched", "[error]") {
    Call call;
    const int64_t many = GENERATE(int64_t(1) << 31, int64_t(1) << 40, int64_t(1) << 62);
    call.inputs[1].sizes = {2, 9, 8, many};
    CHECK_THAT(call.message(), ContainsSubstring("fns: logits should have at most 2147483647 elements"));
}

TEST_CASE("a kernel called by name refuses other arguments than its own", "[error]") {
    std::vector<float> numbers(16);
    const Tensor map{numbers.data(), Dtype::Float32, {1, 4, 4}, {}};
    const auto message = [&](const std::vector<Argument> &arguments) {
        try {
            run_kernel("merge_kernels", Dtype::Float32, arguments);
        } catch (const Error &error) {
            return std::string(error.what());
        }
        return std::string("no error");
    };
    CHECK(message({}) == "merge_kernels: arguments should be 3 (large, small, merged) but are 0");
    CHECK(message({map, map}) == "merge_kernels: arguments should be 3 (large, small, merged) but are 2");
    CHECK(message({map, map, map, map}) == "merge_kernels: arguments should be 3 (large, small, merged) but are 4");
    CHECK(message({map, int64_t(3), map}) == "merge_kernels: small should be a tensor but is an integer");
    CHECK(message({map, map, 0.5}) == "merge_kernels: merged should be a tensor but is a real number");
    const auto filter = [&](size_t at, const Argument &argument) {
        std::vector<Argument> arguments(14, map);
        arguments[10] = arguments[11] = int64_t(1);
        arguments[12] = 0.1;
        arguments[at] = argument;
        try {
            run_kernel("guided_filter", Dtype::Float32, arguments);
        } catch (const Error &error) {
            return std::string(error.what());
        }
        return std::string("no error");
    };
    CHECK(filter(10, map) == "guided_filter: radius should be an integer but is a tensor");
    CHECK(filter(12, int64_t(1)) == "guided_filter: eps should be a real number but is an integer");
}

TEST_CASE("arguments are found by their names, and others are refused", "[error]") {
    Map<float> value({1, 3, 4, 4}, 1), logits({1, 9, 8, 8}, 2), output({1, 3, 8, 8}), in_order({1, 3, 8, 8});
    const auto message = [&](const std::vector<NamedArgument> &arguments) {
        try {
            run("carafe", arguments);
        } catch (const Error &error) {
            return std::string(error.what());
        }
        return std::string("no error");
    };
    const NamedArgument v{"value", value.tensor()}, l{"logits", logits.tensor()}, k{"kernel", 3},
        o{"output", output.tensor()};
    CHECK(message({o, k, l, v}) == "no error");
    test::run_in_order("carafe", {3}, {value.tensor(), logits.tensor()}, in_order.tensor());
    CHECK(output.data == in_order.data);
    CHECK(message({v, l, k, o, {"border", "zero"}}) == "no error");
    CHECK(output.data == in_order.data);
    CHECK(message({v, l, k, o, {"border", "mask"}}) == "no error");
    CHECK(output.data != in_order.data);
    CHECK(message({v, k, o}) == "carafe: logits is missing");
    CHECK(message({v, l, k, o, v}) == "carafe: value is given twice");
    CHECK(message({v, l, k, o, {"mask_ratio", 2}}) ==
          "carafe: has no argument 'mask_ratio'; it takes value, logits, output, kernel, groups, border");
    CHECK(message({v, l, {"kernel", 3.0}, o}) == "carafe: kernel should be an integer");
    CHECK(message({v, {"logits", 1}, k, o}) == "carafe: logits should be a tensor");
    CHECK(message({v, l, k, o, {"border", "mirror"}}) == "carafe: border should be 'zero' or 'mask' but is 'mirror'");
    CHECK(message({v, l, o}) == "carafe: kernel is missing");
}

TEST_CASE("calls go on after an error", "[error]") {
    Call bad;
    bad.parameters.kernel = 4;
    CHECK(bad.message() != "no error");
    CHECK(Call().message() == "no error");
}
