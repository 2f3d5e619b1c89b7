// The C++ modules against golden data, in float64: output and input gradients of modules with published parameters.
#include "modules/anyup.h"
#include "modules/carafe.h"
#include "modules/deconv.h"
#include "modules/dysample.h"
#include "modules/fade.h"
#include "modules/guided_filter.h"
#include "modules/index_net.h"
#include "modules/interpolate.h"
#include "modules/jafar.h"
#include "modules/lctc.h"
#include "modules/naf.h"
#include "modules/pixel_shuffle.h"
#include "modules/resfu.h"
#include "modules/sapa.h"
#include "modules/state.h"
#include "modules/wrc.h"
#include "operators.h"

#include "support/catch.h"

#include <fstream>
#include <functional>
#include <iterator>

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/jit/serialization/pickle.h>
#include <torch/nn/functional/upsampling.h>
#include <torch/nn/modules/activation.h>

namespace {

using at::Tensor;

const std::string folder = UPWELL_GOLDEN_FOLDER;

struct Golden {
    explicit Golden(const std::string &name) : state(folder + "/" + name + ".state.pt") {
        std::ifstream file(folder + "/" + name + ".maps.pt", std::ios::binary);
        REQUIRE(file);
        const std::vector<char> bytes(std::istreambuf_iterator<char>(file), {});
        maps = torch::jit::pickle_load(bytes).toGenericDict();
    }
    Tensor operator[](const std::string &key) const { return maps->at(key).toTensor(); }

    std::string state;

private:
    std::optional<c10::impl::GenericDict> maps;
};

double worst(const Tensor &actual, const Tensor &expected) {
    REQUIRE(actual.sizes() == expected.sizes());
    return ((actual - expected).abs().max() / expected.abs().max()).item<double>();
}

// forward: inputs -> outputs of a module in float64. names: of the outputs, each behind a dot.
template<typename Forward>
void check_several(const Golden &golden, const std::vector<std::string> &inputs, const std::vector<std::string> &names,
                   Forward forward) {
    std::vector<Tensor> leaves, cotangents;
    for (const std::string &input : inputs) {
        leaves.push_back(golden["in." + input].clone().set_requires_grad(true));
    }
    const std::vector<Tensor> outputs = forward(leaves);
    REQUIRE(outputs.size() == names.size());
    for (size_t i = 0; i < names.size(); i++) {
        CAPTURE(names[i]);
        CHECK(worst(outputs[i], golden["out" + names[i]]) < 1e-9);
        cotangents.push_back(golden["cot" + names[i]]);
    }
    torch::autograd::backward(outputs, cotangents);
    for (size_t i = 0; i < inputs.size(); i++) {
        CAPTURE(inputs[i]);
        CHECK(worst(leaves[i].grad(), golden["grad.in." + inputs[i]]) < 1e-9);
    }
}

// forward: inputs -> the one output.
template<typename Forward> void check(const Golden &golden, const std::vector<std::string> &inputs, Forward forward) {
    check_several(golden, inputs, {""}, [&](auto &in) { return std::vector<Tensor>{forward(in)}; });
}

// A module with published parameters, and then its clone: forward(module, inputs) is what was published.
template<class Module, typename Check> void check_with_clone(const Golden &golden, Module module, Check check_module) {
    module->to(at::kDouble);
    upwell::nn::load_state_dict(*module, golden.state);
    module->eval();
    check_module(*module);
    check_module(*std::dynamic_pointer_cast<typename Module::ContainedType>(module->clone()));
}

}  // namespace

TEST_CASE("ReSFU with published parameters is the published module", "[golden]") {
    const Golden golden("resfu");
    upwell::nn::ReSFU resfu(upwell::nn::ReSFUOptions(16).dim_x(32).scale_factor(4));
    resfu->to(at::kDouble);
    upwell::nn::load_state_dict(*resfu, golden.state);
    check(golden, {"y", "x"}, [&](auto &in) { return resfu->forward(in[0], in[1]); });
}

TEST_CASE("a cloned ReSFU with the paper's layout is the paper's module", "[golden]") {
    const Golden golden("resfu_paper");
    upwell::nn::ReSFU original(upwell::nn::ReSFUOptions(16).dim_x(32).scale_factor(4).gf_scale(1).layout("paper"));
    original->to(at::kDouble);
    upwell::nn::load_state_dict(*original, golden.state);
    const auto resfu = std::dynamic_pointer_cast<upwell::nn::ReSFUImpl>(original->clone());
    check(golden, {"y", "x"}, [&](auto &in) { return resfu->forward(in[0], in[1]); });
}

TEST_CASE("CARAFE with published parameters is the published module", "[golden]") {
    const Golden golden("carafe");
    upwell::nn::CARAFE carafe(upwell::nn::CARAFEOptions(6, 2).up_group(2).compressed_channels(16));
    carafe->to(at::kDouble);
    upwell::nn::load_state_dict(*carafe, golden.state);
    check(golden, {"x"}, [&](auto &in) { return carafe->forward(in[0]); });
}

TEST_CASE("PixelShuffle and Deconv with published parameters are the published modules", "[golden]") {
    const Golden shuffled("pixelshuffle"), transposed("deconv");
    check_with_clone(shuffled, upwell::nn::PixelShuffle(upwell::nn::PixelShuffleOptions(3, 4)),
                     [&](auto &module) { check(shuffled, {"x"}, [&](auto &in) { return module.forward(in[0]); }); });
    check_with_clone(transposed, upwell::nn::Deconv(upwell::nn::DeconvOptions(3, 4).out_channels(5)),
                     [&](auto &module) { check(transposed, {"x"}, [&](auto &in) { return module.forward(in[0]); }); });
}

TEST_CASE("Deconv and PixelShuffle make the output the ratio times the input, an empty batch too", "[layer]") {
    for (const int64_t ratio : {1, 2, 3, 4, 8}) {
        for (const int64_t kernel : {1, 2, 3, 5, 6}) {
            if (ratio == 1 && kernel % 2 == 0) {
                continue;
            }
            CAPTURE(ratio, kernel);
            upwell::nn::Deconv deconv(upwell::nn::DeconvOptions(4, ratio).kernel_size(kernel).groups(2).bias(false));
            CHECK(deconv->forward(at::randn({2, 4, 3, 5})).sizes() == at::IntArrayRef{2, 4, 3 * ratio, 5 * ratio});
        }
        upwell::nn::PixelShuffle shuffle(upwell::nn::PixelShuffleOptions(4, ratio).out_channels(3).kernel_size(5));
        const Tensor none = at::randn({0, 4, 3, 5}).set_requires_grad(true);
        const Tensor output = shuffle->forward(none);
        CHECK(output.sizes() == at::IntArrayRef{0, 3, 3 * ratio, 5 * ratio});
        output.sum().backward();
        CHECK(none.grad().sizes() == none.sizes());
    }
    CHECK_THROWS_WITH(upwell::nn::Deconv(upwell::nn::DeconvOptions(4, 1).kernel_size(2)),
                      ContainsSubstring("Deconv: kernel_size") && ContainsSubstring("2"));
    CHECK_THROWS_WITH(upwell::nn::PixelShuffle(upwell::nn::PixelShuffleOptions(4, 2).kernel_size(2)),
                      ContainsSubstring("PixelShuffle: kernel_size"));
}

TEST_CASE("DySample with published parameters is the published module", "[golden]") {
    using upwell::nn::DySample, upwell::nn::DySampleOptions;
    for (const auto &[name, options] : {std::pair{"dysample_lp", DySampleOptions(16)},
                                        {"dysample_lp_scope", DySampleOptions(16).dyscope(true)},
                                        {"dysample_pl", DySampleOptions(16).style("pl")},
                                        {"dysample_pl_scope",
                                         DySampleOptions(32).scale(4).style("pl").groups(2).dyscope(true)}}) {
        CAPTURE(name);
        const Golden golden(name);
        check_with_clone(golden, DySample(options), [&](auto &module) {
            check(golden, {"x"}, [&](auto &in) { return module.forward(in[0]); });
        });
    }
}

TEST_CASE("DySample starts as a bilinear sample of every pixel of a cell, of an empty batch too", "[layer]") {
    for (const char *style : {"lp", "pl"}) {
        for (const int64_t r : {1, 2, 3}) {
            CAPTURE(style, r);
            upwell::nn::DySample module(upwell::nn::DySampleOptions(4 * r * r).scale(r).style(style).dyscope(true));
            torch::NoGradGuard none;
            module->offset->weight.zero_();
            const Tensor x = at::randn({2, 4 * r * r, 5, 7});
            const Tensor bilinear = upwell::ops::bilinear(x, std::array<c10::SymInt, 2>{5 * r, 7 * r});
            CHECK(worst(module->forward(x), bilinear) < 1e-5);
            CHECK(module->forward(x.narrow(0, 0, 0)).sizes() == at::IntArrayRef{0, 4 * r * r, 5 * r, 7 * r});
        }
    }
    const auto construct = [](auto options) { upwell::nn::DySample module(options); };
    const upwell::nn::DySampleOptions eight(8);
    CHECK_THROWS_WITH(construct(upwell::nn::DySampleOptions(eight).groups(3)),
                      ContainsSubstring("DySample: groups should divide in_channels 8 but is 3"));
    CHECK_THROWS_WITH(construct(upwell::nn::DySampleOptions(eight).scale(3).style("pl")),
                      ContainsSubstring("DySample: in_channels should be a multiple of 9 for style 'pl' but is 8"));
    CHECK_THROWS_WITH(construct(upwell::nn::DySampleOptions(eight).style("lr")), ContainsSubstring("DySample: style"));
}

TEST_CASE("fns and carafe give the weights of their taps to who asks", "[weights]") {
    namespace ops = upwell::ops;
    const Tensor value = at::randn({1, 4, 3, 3}, at::kDouble), logits = at::randn({1, 18, 7, 6}, at::kDouble);
    const auto [output, weights] = ops::carafe_and_weights(value, logits, 3, 2);
    CHECK(output.equal(ops::carafe(value, logits, 3, 2)));
    CHECK(weights.sizes() == at::IntArrayRef{1, 2, 9, 7, 6});
    CHECK(at::allclose(ops::carafe_reassembly(value, weights.flatten(1, 2), 3, 2), output));
    const auto [selected, shares] = ops::fns_and_weights(value, logits.narrow(1, 0, 9), 3);
    CHECK(selected.equal(ops::fns(value, logits.narrow(1, 0, 9), 3)));
    CHECK(shares.sizes() == at::IntArrayRef{1, 9, 7, 6});
    CHECK(at::allclose(shares.sum(1), at::ones({1, 7, 6}, at::kDouble)));
}

TEST_CASE("SAPA's attention is the published one", "[golden]") {
    const Golden golden("sapa_attention");
    const Tensor q = golden["in.q"], k = golden["in.k"], v = golden["in.v"], ones = at::ones_like(v);
    using upwell::ops::sapa_attention;
    CHECK(worst(sapa_attention(v, q, k, 5), golden["out.y"]) < 1e-9);
    // The weight of taps outside is lost, or not.
    CHECK(sapa_attention(ones, q, k, 5).min().item<double>() < 0.9);
    CHECK((sapa_attention(ones, q, k, 5, "mask") - 1).abs().max().item<double>() < 1e-12);

    const auto message = [](const char *what) { return ContainsSubstring(std::string("sapa_attention: ") + what); };
    CHECK_THROWS_WITH(sapa_attention(v, q, k.slice(1, 1), 5),
                      message("key should be") && ContainsSubstring("[1, 7, 5, 7]"));
    CHECK_THROWS_WITH(sapa_attention(v, q[0], k, 5), message("query"));
    CHECK_THROWS_WITH(sapa_attention(v, q, k.to(at::kFloat), 5), message("key"));
    CHECK_THROWS_WITH(sapa_attention(v.to(at::kFloat), q, k, 5), message("value"));
    CHECK_THROWS_WITH(sapa_attention(v, q, k, 5, "mirror"), message("border") && ContainsSubstring("mirror"));
}

TEST_CASE("SAPA with published parameters is the published module", "[golden]") {
    const auto check_sapa = [](const Golden &golden, auto module) {
        check_with_clone(golden, module, [&](auto &sapa) {
            check(golden, {"y", "x"}, [&](auto &in) { return sapa.forward(in[0], in[1]); });
        });
    };
    using namespace upwell::nn;
    check_sapa(Golden("sapa"), SAPA(SAPAOptions(32).dim_x(64).embedding_dim(8)));
    check_sapa(Golden("sapa_nonorm"), SAPA(SAPAOptions(5).dim_x(7).up_factor(4).embedding_dim(8).norm(false)));
    check_sapa(Golden("sapa_neurips"), SAPAExp(SAPAExpOptions(12).dim_x(16).embedding_dim(8)));
    check_sapa(Golden("sapa_gate"), SAPAExp(SAPAExpOptions(12).dim_x(16).embedding_dim(8).q_mode("gate")));
}

TEST_CASE("SAPAExp's query may be of both maps side by side, and its value an embedding", "[layer]") {
    upwell::nn::SAPAExp sapa(upwell::nn::SAPAExpOptions(6).dim_x(4).out_dim(3).q_mode("cat").embedding_dim(8));
    sapa->to(at::kDouble);
    const Tensor y = at::randn({2, 6, 8, 10}, at::kDouble), x = at::randn({2, 4, 4, 5}, at::kDouble);
    const auto last = [](const Tensor &map) { return map.permute({0, 2, 3, 1}); };
    const auto first = [](const Tensor &map) { return map.permute({0, 3, 1, 2}); };
    const Tensor normal = sapa->norm_x(last(x)), upsampled = at::upsample_nearest2d(x, {8, 10});
    const Tensor query = first(sapa->q(at::cat({sapa->norm_y(last(y)), last(upsampled)}, -1)));
    const Tensor expected =
        upwell::ops::sapa_attention(first(sapa->v(normal)), query, first(sapa->k(normal)), 5, "zero");
    CHECK(worst(sapa->forward(y, x), expected) < 1e-12);
    CHECK(expected.size(1) == 3);
    CHECK_THROWS_WITH(upwell::nn::SAPAExp(upwell::nn::SAPAExpOptions(6).q_mode("sum")),
                      ContainsSubstring("SAPAExp: q_mode") && ContainsSubstring("'sum'"));
}

TEST_CASE("FADE with published parameters is the published module", "[golden]") {
    for (const auto &[variant, in_channels_en] :
         {std::pair{"l2h", 8}, std::pair{"h2l", 8}, std::pair{"lite", 8}, std::pair{"ungated", 6}}) {
        CAPTURE(variant);
        const Golden golden(std::string("fade_") + variant);
        const auto options = upwell::nn::FADEOptions(in_channels_en).in_channels_de(8).variant(variant);
        check_with_clone(golden, upwell::nn::FADE(options), [&](auto &fade) {
            check(golden, {"en", "de"}, [&](auto &in) { return fade.forward(in[0], in[1]); });
        });
    }
}

TEST_CASE("FADE aligns an encoder's map of other channels, and takes any size without a scale", "[layer]") {
    upwell::nn::FADE fade(upwell::nn::FADEOptions(6).in_channels_de(4).scale(std::nullopt).border("mask"));
    REQUIRE(fade->named_parameters().contains("aligner.conv.weight"));
    const Tensor en = at::randn({2, 6, 9, 12}), de = at::randn({2, 4, 4, 5});
    CHECK(fade->forward(en, de).sizes() == at::IntArrayRef{2, 4, 9, 12});
    const at::NoGradGuard guard;
    fade->gate_generator->conv->bias.fill_(1e4);  // the gate is open
    CHECK(worst(fade->forward(en, de), fade->aligner(en)) < 1e-6);
    fade->gate_generator->conv->bias.fill_(-1e4);
    CHECK(worst(fade->forward(en, at::ones_like(de)), at::ones({2, 4, 9, 12})) < 1e-6);
}

TEST_CASE("index blocks with published parameters are the published ones", "[golden]") {
    const auto check_block = [](const Golden &golden, upwell::nn::IndexBlockOptions options) {
        check_with_clone(golden, upwell::nn::IndexBlock(options), [&](auto &block) {
            const std::vector<std::string> names{".idx_en", ".idx_de", ".down", ".up"};
            check_several(golden, {"en", "de"}, names, [&](auto &in) {
                const auto [idx_en, idx_de] = block.forward(in[0]);
                return std::vector<Tensor>{idx_en, idx_de, upwell::nn::index_pool(in[0], idx_en),
                                           upwell::nn::index_unpool(in[1], idx_de)};
            });
        });
    };
    const upwell::nn::IndexBlockOptions options(6);
    check_block(Golden("index_holistic"), options);
    const auto nonlinear = [&] { return upwell::nn::IndexBlockOptions(6).use_nonlinear(true); };
    check_block(Golden("index_o2o"), nonlinear().block("o2o").use_context(true));
    check_block(Golden("index_m2o"), nonlinear().block("m2o"));
}

TEST_CASE("IndexNet's index has the guide's size at every ratio", "[layer]") {
    for (const std::string block : {"holistic", "o2o", "m2o"}) {
        for (const int64_t ratio : {1, 2, 3, 4}) {
            CAPTURE(block, ratio);
            upwell::nn::IndexNet net(
                upwell::nn::IndexNetOptions(4, 4).block(block).scale_factor(ratio).use_context(true).use_nonlinear(
                    true));
            const Tensor guide = at::randn({2, 4, 3 * ratio, 5 * ratio}), x = at::randn({2, 4, 3, 5});
            CHECK(net->forward(guide, x).sizes() == guide.sizes());
            const Tensor idx_en = std::get<0>(net->block(guide));
            const Tensor total = upwell::nn::index_pool(at::ones_like(guide), idx_en, ratio);
            CHECK((total - 1).abs().max().item<double>() < 1e-5);
        }
    }
    CHECK_THROWS_WITH(upwell::nn::IndexNet(upwell::nn::IndexNetOptions(4, 6).block("o2o")),
                      ContainsSubstring("IndexNet: guide_channels") && ContainsSubstring("6"));
}

TEST_CASE("a guided filter with a reflecting border is one of maps extended by two radii, and so is its clone") {
    constexpr int64_t radius = 2, more = 2 * radius;
    const Tensor guide = at::randn({2, 3, 9, 8}, at::kDouble).set_requires_grad(true);
    const Tensor input = at::randn({2, 3, 9, 8}, at::kDouble).set_requires_grad(true);
    const auto extend = [](const Tensor &x) { return at::reflection_pad2d(x, {more, more, more, more}); };
    const Tensor extended = upwell::nn::GuidedFilter(radius, 1e-2, 3)->forward(extend(guide), extend(input));
    const Tensor expected = extended.slice(2, more, -more).slice(3, more, -more);
    const Tensor d_output = at::randn({2, 3, 9, 8}, at::kDouble);
    const auto d_expected = torch::autograd::grad({expected}, {guide, input}, {d_output});

    upwell::nn::GuidedFilter original(radius, 1e-2, 3, 1, false, "reflect");
    const auto clone = std::dynamic_pointer_cast<upwell::nn::GuidedFilterImpl>(original->clone());
    for (const auto &filter : {original.ptr(), clone}) {
        const Tensor output = filter->forward(guide, input);
        CHECK(worst(output, expected) < 1e-10);
        const auto gradients = torch::autograd::grad({output}, {guide, input}, {d_output});
        CHECK(worst(gradients[0], d_expected[0]) < 1e-10);
        CHECK(worst(gradients[1], d_expected[1]) < 1e-10);
    }
    CHECK_THROWS_WITH(upwell::nn::GuidedFilter(radius, 1e-2, 3, 1, false, "zero"),
                      ContainsSubstring("GuidedFilter: border should be") && ContainsSubstring("'zero'"));
}

TEST_CASE(
    "a guided filter with a colour guide is the grey one of a guide of three channels alike, and so is its clone") {
    const Tensor grey = at::randn({2, 1, 9, 8}, at::kDouble), input = at::randn({2, 4, 5, 4}, at::kDouble);
    const Tensor expected =
        upwell::ops::guided_filter(grey.expand({2, 4, 9, 8}), input, 4, 0.1 / 3, 2, true, "reflect");
    upwell::nn::ColourGuidedFilter original(4, 0.1, 2, true, "reflect");
    const auto clone = std::dynamic_pointer_cast<upwell::nn::ColourGuidedFilterImpl>(original->clone());
    for (const auto &filter : {original.ptr(), clone}) {
        CHECK(worst(filter->forward(grey.expand({2, 3, 9, 8}), input), expected) < 1e-10);
    }
    CHECK_THROWS_WITH(upwell::nn::ColourGuidedFilter(2, 0.0),
                      ContainsSubstring("ColourGuidedFilter: eps should be positive but is 0"));
}

TEST_CASE("LCTC with published parameters is the published module, and so is its clone", "[golden]") {
    const Golden golden("lctc");
    upwell::nn::LCTC original(upwell::nn::LCTCOptions(6, 5));
    original->to(at::kDouble);
    upwell::nn::load_state_dict(*original, golden.state);
    check(golden, {"x"}, [&](auto &in) { return original->forward(in[0]); });
    const auto lctc = std::dynamic_pointer_cast<upwell::nn::LCTCImpl>(original->clone());
    check(golden, {"x"}, [&](auto &in) { return lctc->forward(in[0]); });
}

TEST_CASE("LCTC in groups, without a small kernel and a bias, is torch's transposed convolution", "[golden]") {
    upwell::nn::LCTC lctc(upwell::nn::LCTCOptions(4, 4).groups(4).stride(3).small_kernel(std::nullopt).bias(false));
    const Tensor x = at::randn({2, 4, 5, 6});
    CHECK(lctc->parameters().size() == 1);
    CHECK(worst(lctc->forward(x), lctc->large->forward(x)) < 1e-5);
    CHECK_THROWS_WITH(upwell::nn::LCTC(upwell::nn::LCTCOptions(4, 4).kernel_size(4)), ContainsSubstring("kernel_size"));
    CHECK_THROWS_WITH(upwell::nn::LCTC(upwell::nn::LCTCOptions(4, 4).small_kernel(9)),
                      ContainsSubstring("small_kernel") && ContainsSubstring("9"));
}

TEST_CASE("WRC with published parameters is the published module", "[golden]") {
    const Golden golden("wrc");
    upwell::nn::WRC wrc(upwell::nn::WRCOptions(3, 3).scale(2));
    wrc->to(at::kDouble);
    upwell::nn::load_state_dict(*wrc, golden.state);
    check(golden, {"x"}, [&](auto &in) { return wrc->forward(in[0]); });
}

TEST_CASE("WRC takes both solvers and every border, and refuses others", "[golden]") {
    const Golden golden("wrc");
    const Tensor x = golden["in.x"];
    for (const char *mode : {"circular", "constant", "reflect", "replicate"}) {
        for (const char *solver : {"spectral", "exact"}) {
            upwell::nn::WRC wrc(upwell::nn::WRCOptions(3, 3).scale(3).padding_mode(mode).solver(solver));
            wrc->to(at::kDouble);
            const Tensor output = wrc->forward(x);
            CHECK(output.sizes() == at::IntArrayRef({1, 3, 21, 27}));
            CHECK(output.isfinite().all().item<bool>());
        }
    }
    CHECK_THROWS_WITH(upwell::nn::WRC(upwell::nn::WRCOptions(3, 3).solver("fast")), ContainsSubstring("solver"));
    CHECK_THROWS_WITH(upwell::nn::WRC(upwell::nn::WRCOptions(3, 3).eps(0)), ContainsSubstring("eps"));
}

TEST_CASE("a layer with other settings than the constructor's takes effect", "[layer]") {
    using namespace torch::nn;
    const auto options = at::TensorOptions(at::kDouble);
    const Tensor x = at::randn({2, 4, 5, 6}, options);
    upwell::nn::LCTC lctc(upwell::nn::LCTCOptions(4, 4).groups(4));
    lctc->small = lctc->replace_module(
        "small", ConvTranspose2d(ConvTranspose2dOptions(4, 4, 5).stride(2).padding(2).output_padding(1).groups(2)));
    lctc->to(at::kDouble);
    CHECK(worst(lctc->forward(x), lctc->large->forward(x) + lctc->small->forward(x)) < 1e-12);

    upwell::nn::WRC wrc(upwell::nn::WRCOptions(4, 3).scale(2)), other(upwell::nn::WRCOptions(4, 3).scale(2));
    other->w_conv_high = other->replace_module("w_conv_high", Conv2d(Conv2dOptions(4, 4, 5).padding(2).bias(false)));
    wrc->to(at::kDouble);
    other->to(at::kDouble);
    const at::NoGradGuard guard;
    other->weight.copy_(wrc->weight);
    other->bias.copy_(wrc->bias);
    other->w_conv_low->weight.copy_(wrc->w_conv_low->weight);
    other->w_conv_high->weight.zero_();
    other->w_conv_high->weight.narrow(2, 1, 3).narrow(3, 1, 3).copy_(wrc->w_conv_high->weight);
    CHECK(worst(other->forward(x), wrc->forward(x)) < 1e-9);

    const auto resfu_options = upwell::nn::ReSFUOptions(3).dim_x(4).scale_factor(2);
    upwell::nn::ReSFU resfu(resfu_options), larger(resfu_options);
    larger->q = larger->replace_module("q", Conv2d(Conv2dOptions(3, 32, 3).padding(1)));
    resfu->to(at::kDouble);
    larger->to(at::kDouble);
    for (const auto &parameter : resfu->named_parameters()) {
        if (parameter.key() != "q.weight") {
            larger->named_parameters()[parameter.key()].copy_(parameter.value());
        }
    }
    larger->q->weight.zero_();
    larger->q->weight.narrow(2, 1, 1).narrow(3, 1, 1).copy_(resfu->q->weight);
    const Tensor y = at::randn({2, 3, 10, 12}, options);
    CHECK(worst(larger->forward(y, x), resfu->forward(y, x)) < 1e-9);
}

TEST_CASE("a layer that can be neither read nor called is refused", "[layer]") {
    struct Adapter : torch::nn::Conv2dImpl {
        using torch::nn::Conv2dImpl::Conv2dImpl;
    };
    const Tensor x = at::zeros({1, 4, 5, 6}), y = at::zeros({1, 3, 10, 12});
    const auto adapter = std::make_shared<Adapter>(torch::nn::Conv2dOptions(4, 4, 3).padding(1).bias(false));
    upwell::nn::WRC wrc(upwell::nn::WRCOptions(4, 3).scale(2));
    wrc->w_conv_high = torch::nn::Conv2d(std::static_pointer_cast<torch::nn::Conv2dImpl>(adapter));
    CHECK_THROWS_WITH(wrc->forward(x), ContainsSubstring("w_conv_high") && ContainsSubstring("Adapter"));
    struct Norm : torch::nn::GroupNormImpl {
        using torch::nn::GroupNormImpl::GroupNormImpl;
    };
    const auto norm = std::make_shared<Norm>(torch::nn::GroupNormOptions(8, 32));
    upwell::nn::ReSFU resfu(upwell::nn::ReSFUOptions(3).dim_x(4).scale_factor(2));
    resfu->detail_scores->norm = torch::nn::GroupNorm(std::static_pointer_cast<torch::nn::GroupNormImpl>(norm));
    CHECK_THROWS_WITH(resfu->forward(y, x), ContainsSubstring("PCDCBlock") && ContainsSubstring("Norm"));
}

namespace {

// A 1x1 convolution with a correction beside it, as low-rank adapters have it.
struct AdaptedImpl : torch::nn::Module {
    explicit AdaptedImpl(torch::nn::Conv2d layer) : layer(register_module("layer", std::move(layer))) {
        delta = register_parameter("delta", at::zeros_like(this->layer->weight));
    }
    Tensor forward(const Tensor &x) {
        return layer(x) + at::conv2d(x, delta, {}, 1, at::IntArrayRef{0}, 1, layer->options.groups());
    }
    torch::nn::Conv2d layer;
    Tensor delta;
};
TORCH_MODULE(Adapted);

struct Scores {
    const char *name;
    int64_t height, width, low_height, low_width;  // of q, of k
    std::function<Tensor(upwell::nn::PCDCBlock &, const Tensor &, const Tensor &)> of;
};

// Each kind of scores: of an upsampled key or of maps, taps a whole or a real ratio apart, blurred or not.
const Scores kinds_of_scores[] = {
    {"integer", 8, 10, 4, 5, [](auto &block, auto &k, auto &q) { return block->forward_low_res(k, q); }},
    {"real", 7, 9, 4, 5, [](auto &block, auto &k, auto &q) { return block->forward_low_res(k, q); }},
    {"apart", 8, 10, 8, 10,
     [](auto &block, auto &k, auto &q) {
         return block->forward(k, q, {2, 1}, {3, 1});
     }},
    {"between", 8, 10, 8, 10,
     [](auto &block, auto &k, auto &q) {
         return block->forward(k, q, {7, 4}, {9, 5});
     }},
    {"blurred", 8, 10, 8, 10,
     [](auto &block, auto &k, auto &q) {
         return block->forward(k, q, {2, 1}, {2, 1}, true);
     }},
};

}  // namespace

TEST_CASE("a PCDC block calls a compressor of other layers, with the same values and gradients", "[layer]") {
    using namespace torch::nn;
    const std::string layout = GENERATE("published", "paper");
    const auto options = upwell::nn::PCDCBlockOptions(16).layout(layout).lr_mult(3);
    upwell::nn::PCDCBlock plain(options), called(options);
    for (auto *block : {&plain, &called}) {
        (*block)->to(at::kDouble);
    }
    {
        const at::NoGradGuard guard;
        for (const auto &parameter : plain->named_parameters()) {
            parameter.value().copy_(at::randn_like(parameter.value()));
            called->named_parameters()[parameter.key()].copy_(parameter.value());
        }
    }
    const size_t first = layout == "published" ? 1 : 0;
    Sequential compressor;
    if (first == 1) {
        compressor->push_back(ReLU());
    }
    const auto part = [&](size_t i) { return called->channel_compressor->ptr(first + i); };
    const Conv2d convolution(std::dynamic_pointer_cast<Conv2dImpl>(part(0)));
    Adapted adapted(convolution);
    adapted->to(at::kDouble);
    compressor->push_back(adapted);
    compressor->push_back(ReLU());
    compressor->push_back(GroupNorm(std::dynamic_pointer_cast<GroupNormImpl>(part(2))));
    compressor->push_back(Conv2d(std::dynamic_pointer_cast<Conv2dImpl>(part(3))));
    called->channel_compressor = called->replace_module("channel_compressor", compressor);

    for (const Scores &scores : kinds_of_scores) {
        CAPTURE(layout, scores.name);
        const auto leaf = [](at::IntArrayRef sizes) { return at::randn(sizes, at::kDouble).requires_grad_(); };
        const Tensor k = leaf({2, 16, scores.low_height, scores.low_width});
        const Tensor q = leaf({2, 16, scores.height, scores.width});
        const Tensor expected = scores.of(plain, k, q), actual = scores.of(called, k, q);
        CHECK(worst(actual, expected) < 1e-9);
        const Tensor cotangent = at::randn_like(expected);
        const auto gradients = [&](upwell::nn::PCDCBlock &block, const Tensor &output) {
            std::vector<Tensor> leaves{k, q};
            for (const auto &parameter : block->named_parameters()) {
                if (parameter.key().find("delta") == std::string::npos) {
                    leaves.push_back(parameter.value());
                }
            }
            return torch::autograd::grad({output}, leaves, {cotangent});
        };
        const auto of_plain = gradients(plain, expected), of_called = gradients(called, actual);
        REQUIRE(of_plain.size() == of_called.size());
        for (size_t i = 0; i < of_plain.size(); i++) {
            CAPTURE(i);
            CHECK((of_plain[i] - of_called[i]).abs().max().item<double>() <
                  1e-8 * std::max(1.0, of_plain[i].abs().max().item<double>()));
        }
        const Tensor before = actual.detach();
        const at::NoGradGuard guard;
        adapted->delta.fill_(0.1);
        CHECK(worst(scores.of(called, k, q), before) > 1e-3);  // the correction counts
        adapted->delta.zero_();
    }
}

TEST_CASE("a PCDC block's norm may have other settings", "[layer]") {
    upwell::nn::PCDCBlock plain(upwell::nn::PCDCBlockOptions(16)), other(upwell::nn::PCDCBlockOptions(16));
    other->norm = other->replace_module("norm", torch::nn::GroupNorm(torch::nn::GroupNormOptions(2, 16)));
    const Tensor k = at::randn({1, 16, 4, 5}), q = at::randn({1, 16, 8, 10});
    const at::NoGradGuard guard;
    const auto parameters = other->named_parameters();
    for (const auto &parameter : plain->named_parameters()) {
        parameters[parameter.key()].copy_(parameter.value());
    }
    const Tensor high = at::upsample_bilinear2d(k, {8, 10}, false);
    const Tensor scores = other->forward_low_res(k, q), beside = plain->forward_low_res(k, q);
    CHECK(worst(scores, beside) > 1e-3);
    CHECK(worst(scores, other->forward(high, q, {2, 1}, {2, 1})) < 1e-3);
}

TEST_CASE("an operation in place may follow WRC's exact solver without padding", "[layer]") {
    upwell::nn::WRC wrc(upwell::nn::WRCOptions(4, 3).scale(2).padding(0).solver("exact"));
    const Tensor x = at::randn({1, 4, 5, 6});
    wrc->forward(x).mul_(2).sum().backward();
    const Tensor once = wrc->weight.grad().clone();
    wrc->zero_grad();
    (wrc->forward(x) * 2).sum().backward();
    CHECK(worst(once, wrc->weight.grad()) < 1e-6);
}

TEST_CASE("Bilinear and Nearest are torch's interpolation", "[golden]") {
    upwell::nn::Bilinear bilinear(4);
    check(Golden("bilinear"), {"x"}, [&](auto &in) { return bilinear->forward(in[0]); });
    upwell::nn::Nearest nearest(4);
    check(Golden("nearest"), {"x"}, [&](auto &in) { return nearest->forward(in[0]); });
}

TEST_CASE("Bilinear and Nearest by a real factor are torch's Upsample, by either rule", "[interpolate]") {
    namespace F = torch::nn::functional;
    const Tensor x = at::randn({2, 3, 10, 15}, at::kDouble);
    for (const double scale : {0.7, 1.3, 2.0, 2.3}) {
        for (const bool recompute : {false, true}) {
            CAPTURE(scale, recompute);
            const auto options = F::InterpolateFuncOptions()
                                     .scale_factor(std::vector<double>{scale, scale})
                                     .recompute_scale_factor(recompute);
            const auto expected = [&](F::InterpolateFuncOptions given) { return F::interpolate(x, given); };
            CHECK(at::allclose(upwell::nn::Bilinear(scale, recompute)->forward(x),
                               expected(F::InterpolateFuncOptions(options).mode(torch::kBilinear).align_corners(false)),
                               1e-12, 1e-12));
            CHECK(at::equal(upwell::nn::Nearest(scale, recompute)->forward(x),
                            expected(F::InterpolateFuncOptions(options).mode(torch::kNearest))));
        }
    }
}

TEST_CASE("AnyUp, JAFAR and NAF with published parameters are the published modules", "[golden]") {
    using namespace upwell::nn;
    const auto check_sized = [](const char *name, auto module, at::OptionalIntArrayRef size) {
        CAPTURE(name);
        const Golden golden(name);
        check_with_clone(golden, module, [&](auto &given) {
            check(golden, {"image", "features"}, [&](auto &in) { return given.forward(in[0], in[1], size); });
        });
    };
    const auto any = [] { return AnyUpOptions().qk_dim(16); };
    check_sized("anyup", AnyUp(any()), std::nullopt);
    check_sized("anyup_sized", AnyUp(any().window_ratio(0.3).kernel_size(3).lfu_dim(24)), at::IntArrayRef{13, 16});
    check_sized("jafar", JAFAR(JAFAROptions().qk_dim(16).v_dim(7)), at::IntArrayRef{16, 20});
    const auto naf = [] { return NAFOptions().dim(32).kernel_size(3); };
    check_sized("naf", NAF(naf()), at::IntArrayRef{10, 12});
    check_sized("naf_real", NAF(naf()), at::IntArrayRef{14, 13});
    check_sized("naf_published", NAF(naf().window_published(true)), at::IntArrayRef{14, 13});
}

TEST_CASE("the published defaults of AnyUp, JAFAR and NAF have the published number of parameters", "[state]") {
    const auto count = [](const auto &module) {
        int64_t total = 0;
        for (const Tensor &parameter : module->parameters()) {
            total += parameter.numel();
        }
        return total;
    };
    CHECK(count(upwell::nn::AnyUp()) == 878'080);
    CHECK(count(upwell::nn::JAFAR()) == 628'480);
    CHECK(count(upwell::nn::NAF()) == 662'528);
    const auto basis = upwell::nn::AnyUp(upwell::nn::AnyUpOptions().init_gaussian_derivatives(true))
                           ->named_parameters()["key_features_encoder.0.basis"];
    CHECK(basis.sizes() == at::IntArrayRef{128, 1, 5, 5});
    // (sigma sqrt(2 pi))^-2 with sigma = 2 / 1.645.
    CHECK(std::abs(basis[0][0][2][2].item<double>() - 0.10767) < 1e-5);
}

TEST_CASE("AnyUp, JAFAR and NAF take any size, an empty batch, and the image's size where none is given", "[layer]") {
    using namespace upwell::nn;
    const auto check_sizes = [](auto module) {
        for (const int64_t N : {0, 2}) {
            const Tensor image = at::randn({N, 3, 8, 12}).set_requires_grad(true), features = at::randn({N, 8, 2, 3});
            CHECK(module->forward(image, features).sizes() == at::IntArrayRef{N, 8, 8, 12});
            const Tensor output = module->forward(image, features, at::IntArrayRef{1, 5});
            CHECK(output.sizes() == at::IntArrayRef{N, 8, 1, 5});
            output.sum().backward();
            CHECK(image.grad().sizes() == image.sizes());
        }
    };
    check_sizes(AnyUp(AnyUpOptions().qk_dim(16)));
    check_sizes(JAFAR(JAFAROptions().qk_dim(16).v_dim(8)));
    check_sizes(NAF(NAFOptions().dim(32)));
}

TEST_CASE("AnyUp, JAFAR and NAF refuse what does not fit and name it", "[error]") {
    using namespace upwell::nn;
    const Tensor image = at::zeros({1, 3, 8, 8}), features = at::zeros({1, 8, 7, 7});
    AnyUp any(AnyUpOptions().qk_dim(16));
    CHECK_THROWS_WITH(any->forward(image, features.narrow(2, 0, 1)),
                      ContainsSubstring("AnyUp: features should be [N, C, H >= 2, W >= 2]") &&
                          ContainsSubstring("[1, 8, 1, 7]"));
    CHECK_THROWS_WITH(any->forward(image, features, at::IntArrayRef{8}), ContainsSubstring("AnyUp: output_size"));
    CHECK_THROWS_WITH(AnyUp(AnyUpOptions().qk_dim(12)), ContainsSubstring("AnyUp: qk_dim should be a multiple of 8"));
    CHECK_THROWS_WITH(JAFAR(JAFAROptions().qk_dim(16))->forward(image, features),
                      ContainsSubstring("JAFAR: features should be [N, 384") && ContainsSubstring("[1, 8, 7, 7]"));
    CHECK_THROWS_WITH(NAF(NAFOptions().dim(32))->forward(image.narrow(3, 0, 1), features),
                      ContainsSubstring("NAF: image should be [N, C, H >= 2, W >= 2]"));
    CHECK_THROWS_WITH(NAF(NAFOptions().dim(32).window_published(true))->forward(image, features),
                      ContainsSubstring("NAF: output_size") && ContainsSubstring("9 times"));
}

TEST_CASE("a file that holds no plain dict is named", "[error]") {
    const std::string path = folder + "/no_dict.pt";
    std::ofstream(path) << "no pickle";
    upwell::nn::Bilinear bilinear(2);
    CHECK_THROWS_WITH(upwell::nn::load_state_dict(*bilinear, path),
                      ContainsSubstring("no_dict.pt") && ContainsSubstring("plain dict"));
}

TEST_CASE("a module refuses what does not fit and names it", "[error]") {
    upwell::nn::ReSFU resfu(upwell::nn::ReSFUOptions(16).dim_x(32));
    const Tensor y = at::zeros({1, 16, 8, 8}), x = at::zeros({1, 31, 2, 2});
    CHECK_THROWS_WITH(resfu->forward(y, x), ContainsSubstring("ReSFU") && ContainsSubstring("[1, 31, 2, 2]"));
    CHECK_THROWS_WITH(upwell::nn::ReSFU(upwell::nn::ReSFUOptions(16).kernel_size(4)), ContainsSubstring("kernel_size"));
    CHECK_THROWS_WITH(upwell::nn::ReSFU(upwell::nn::ReSFUOptions(16).kernel_size(31)),
                      ContainsSubstring("ReSFU: kernel_size should be one of 3 5 7") &&
                          ContainsSubstring("but is 31"));
    CHECK_THROWS_WITH(upwell::nn::CARAFE(upwell::nn::CARAFEOptions(16, 2).up_kernel(31)),
                      ContainsSubstring("CARAFE: up_kernel should be one of 3 5 7") &&
                          ContainsSubstring("but is 31"));
    CHECK_THROWS_WITH(upwell::ops::sapa_attention(x, x, x, 31),
                      ContainsSubstring("sapa_attention: kernel should be one of 3 5 7"));
    upwell::nn::SAPA sapa(upwell::nn::SAPAOptions(16).dim_x(32));
    CHECK_THROWS_WITH(sapa->forward(y, at::zeros({1, 32, 2, 2})),
                      ContainsSubstring("SAPA: y should be [N, C, 4, 4] but is [1, 16, 8, 8]"));
    upwell::nn::FADE fade(upwell::nn::FADEOptions(16).in_channels_de(32));
    CHECK_THROWS_WITH(fade->forward(y, x), ContainsSubstring("FADE: de") && ContainsSubstring("[1, 31, 2, 2]"));
    upwell::nn::IndexBlock block(upwell::nn::IndexBlockOptions(16).scale_factor(3));
    CHECK_THROWS_WITH(block->forward(y), ContainsSubstring("IndexBlock: en") && ContainsSubstring("[1, 16, 8, 8]"));
    CHECK_THROWS_WITH(upwell::nn::load_state_dict(*resfu, folder + "/carafe.state.pt"),
                      ContainsSubstring("unexpected"));
    CHECK_THROWS_WITH(upwell::nn::load_state_dict(*resfu, "nowhere.pt"), ContainsSubstring("nowhere.pt"));
}
