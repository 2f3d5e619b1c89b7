// make() in C++ against Python's: every name, and the same numbers from the same state_dict.
#include "modules/make.h"
#include "modules/state.h"

#include "support/catch.h"

#include <fstream>
#include <iterator>

#include <ATen/ops/randn.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/jit/serialization/pickle.h>
#include <torch/nn/cloneable.h>
#include <torch/nn/modules/conv.h>

namespace {

using at::Tensor;
using upwell::nn::make, upwell::nn::MakeOptions, upwell::nn::Upsampler;

const std::string folder = UPWELL_GOLDEN_FOLDER;
constexpr int64_t channels = 8, guide_channels = 5, ratio = 2;  // of export_made.py

std::vector<std::string> names_in_python() {
    std::ifstream file(folder + "/made.txt");
    REQUIRE(file);
    return {std::istream_iterator<std::string>(file), {}};
}

c10::impl::GenericDict read(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    REQUIRE(file);
    const std::vector<char> bytes(std::istreambuf_iterator<char>(file), {});
    return torch::jit::pickle_load(bytes).toGenericDict();
}

double worst(const Tensor &actual, const Tensor &expected) {
    REQUIRE(actual.sizes() == expected.sizes());
    return ((actual - expected).abs().max() / expected.abs().max()).item<double>();
}

// Output and gradients of what Python wrote down about the case.
void check(const Upsampler &upsampler, const std::string &name) {
    const auto maps = read(folder + "/" + name + ".maps.pt");
    const auto of = [&](const char *key) { return maps.at(key).toTensor(); };
    const Tensor guide = of("guide").clone().set_requires_grad(true), x = of("x").clone().set_requires_grad(true);
    const Tensor output = upsampler(guide, x);
    CHECK(worst(output, of("out")) < 1e-9);
    torch::autograd::backward({output}, {of("cotangent")});
    CHECK(worst(x.grad(), of("d_x")) < 1e-9);
    CHECK(guide.grad().defined() == maps.contains("d_guide"));
    if (maps.contains("d_guide")) {
        CHECK(worst(guide.grad(), of("d_guide")) < 1e-9);
    }
}

void check_with_clone(const std::string &name, const std::string &made, const MakeOptions &options = {}) {
    CAPTURE(made);
    const Upsampler upsampler = make(name, channels, guide_channels, ratio, options);
    upsampler->to(at::kDouble);
    upwell::nn::load_state_dict(*upsampler, folder + "/" + made + ".state.pt");
    upsampler->eval();
    check(upsampler, made);
    check(upsampler.clone(), made);
}

void refuses(const std::string &name, int64_t C, int64_t guide, std::optional<double> scale, const MakeOptions &options,
             const std::string &message) {
    CAPTURE(name, message);
    CHECK_THROWS_WITH(make(name, C, guide, scale, options), ContainsSubstring(message));
}

}  // namespace

TEST_CASE("C++ and Python make upsamplers of the same names", "[make]") {
    CHECK(upwell::nn::upsamplers() == names_in_python());
}

TEST_CASE("every upsampler made computes what Python's does with the same parameters, and so does its clone",
          "[make]") {
    for (const std::string &name : names_in_python()) {
        check_with_clone(name, "made_" + name);
    }
}

TEST_CASE("options of every kind reach the module", "[make]") {
    check_with_clone("lctc", "made_lctc_with_options", {{"small_kernel", {}}, {"bias", false}});
    check_with_clone("sapa", "made_sapa_with_options", {{"norm", false}, {"border", "mask"}, {"embedding_dim", 6}});
    check_with_clone("naf", "made_naf_with_options", {{"rope_base", 30}, {"kernel_size", 3}, {"dim", 32}});
}

TEST_CASE("an upsampler made trains in a model, whichever it is", "[make]") {
    struct Model : torch::nn::Module {
        explicit Model(const std::string &name) : upsampler(make(name, channels, guide_channels, ratio)) {
            register_module("upsampler", upsampler.ptr());
            head = register_module("head", torch::nn::Conv2d(torch::nn::Conv2dOptions(channels, 3, 1)));
        }
        Upsampler upsampler;
        torch::nn::Conv2d head = nullptr;
    };
    for (const std::string &name : upwell::nn::upsamplers()) {
        CAPTURE(name);
        Model model(name);
        CHECK(model.parameters().size() == model.upsampler.parameters().size() + 2);
        const Tensor guide = at::randn({1, guide_channels, 6, 8}), x = at::randn({1, channels, 3, 4});
        const Tensor output = model.head(model.upsampler(guide, x));
        CHECK(output.sizes() == at::IntArrayRef{1, 3, 6, 8});
        output.square().mean().backward();
        for (const Tensor &parameter : model.parameters()) {
            CHECK(parameter.requires_grad() == parameter.grad().defined());
        }
    }
}

TEST_CASE("a guide may have any size where the upsampler takes any ratio", "[make]") {
    const Tensor guide = at::randn({1, guide_channels, 7, 9}), x = at::randn({1, channels, 3, 4});
    for (const char *name : {"resfu", "sapa", "sapa_exp", "fade", "anyup", "naf", "jafar"}) {
        CAPTURE(name);
        CHECK(make(name, channels, guide_channels, std::nullopt)(guide, x).sizes() ==
              at::IntArrayRef{1, channels, 7, 9});
    }
    for (const char *name : {"resfu", "anyup", "naf", "jafar", "bilinear", "nearest"}) {
        CAPTURE(name);
        CHECK(make(name, channels, guide_channels, 2.3)(guide, x).sizes() == at::IntArrayRef{1, channels, 7, 9});
    }
    CHECK_THROWS_WITH(make("carafe", channels, guide_channels, 2)(guide, x),
                      ContainsSubstring("CARAFE: guide should be [N, C, 6, 8] but is [1, 5, 7, 9]"));
    CHECK_THROWS_WITH(make("lctc", channels, guide_channels, 2)(guide, x[0]),
                      ContainsSubstring("LCTC: x should be [N, C, h, w] but is [8, 3, 4]"));
}

TEST_CASE("what make() does not take is refused and named", "[error]") {
    refuses("magic", 8, 5, 2, {}, "make: name should be one of resfu");
    refuses("carafe", 0, 5, 2, {}, "make: in_channels should be an integer >= 1 but is 0");
    refuses("sapa", 8, 0, 2, {}, "make: guide_channels should be an integer >= 1 but is 0");
    refuses("carafe", 8, 5, 1.5, {}, "make: scale_factor of carafe should be an integer >= 1 but is 1.5");
    refuses("fade", 8, 5, 0, {}, "make: scale_factor of fade should be an integer >= 1 or none but is 0");
    refuses("lctc", 8, 5, std::nullopt, {}, "make: scale_factor of lctc should be an integer >= 1 but is none");
    refuses("bilinear", 8, 5, -1, {}, "make: scale_factor of bilinear should be positive and finite but is -1");
    refuses("naf", 8, 5, HUGE_VAL, {}, "make: scale_factor of naf should be positive and finite or none but is inf");
    refuses("sapa", 8, 5, 2, {{"edge", "mask"}}, "make: edge is no option of sapa, which has border");
    refuses("sapa", 8, 5, 2, {{"border", 1}}, "make: border of sapa should be a text but is 1");
    refuses("sapa", 8, 5, 2, {{"norm", 1}}, "make: norm of sapa should be true or false but is 1");
    refuses("lctc", 8, 5, 2, {{"small_kernel", 2.5}}, "make: small_kernel of lctc should be an integer but is 2.5");
    refuses("fade", 8, 5, 2, {{"variant", "h2h"}}, "FADE: variant should be one of");
}
