// The table of upsamplers, as in Python.
#include "make.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <torch/nn/cloneable.h>

#include "anyup.h"
#include "carafe.h"
#include "check.h"
#include "deconv.h"
#include "dysample.h"
#include "fade.h"
#include "index_net.h"
#include "interpolate.h"
#include "jafar.h"
#include "jbu.h"
#include "lctc.h"
#include "local_attender.h"
#include "naf.h"
#include "pixel_shuffle.h"
#include "resfu.h"
#include "sapa.h"
#include "wrc.h"

namespace upwell::nn {
namespace {

using at::Tensor;
using c10::IValue;

// What an option may be, and its name in messages.
template<class T> struct Kind;
template<> struct Kind<bool> {
    static constexpr const char *name = "true or false";
    static bool fits(const IValue &v) { return v.isBool(); }
    static bool of(const IValue &v) { return v.toBool(); }
};
template<> struct Kind<int64_t> {
    static constexpr const char *name = "an integer";
    static bool fits(const IValue &v) { return v.isInt(); }
    static int64_t of(const IValue &v) { return v.toInt(); }
};
template<> struct Kind<double> {
    static constexpr const char *name = "a number";
    static bool fits(const IValue &v) { return v.isDouble() || v.isInt(); }
    static double of(const IValue &v) { return v.isInt() ? static_cast<double>(v.toInt()) : v.toDouble(); }
};
template<> struct Kind<std::string> {
    static constexpr const char *name = "a text";
    static bool fits(const IValue &v) { return v.isString(); }
    static std::string of(const IValue &v) { return v.toStringRef(); }
};
template<class T> struct Kind<std::optional<T>> {
    static constexpr const char *name = Kind<T>::name;
    static bool fits(const IValue &v) { return v.isNone() || Kind<T>::fits(v); }
    static std::optional<T> of(const IValue &v) { return v.isNone() ? std::nullopt : std::optional<T>(Kind<T>::of(v)); }
};

// One call of make(): what is asked for, and which options have been looked for.
struct Request {
    const std::string &name;
    int64_t channels, guide_channels;
    std::optional<double> ratio;
    const MakeOptions &given;
    std::set<std::string> known = {};

    // The ratio of those that take integers.
    int64_t whole() const { return static_cast<int64_t>(*ratio); }
    std::optional<int64_t> whole_or_none() const { return ratio ? std::optional(whole()) : std::nullopt; }

    // Changes value to the option's, if it is given.
    template<class T> Request &read(const char *option, T &value) {
        known.insert(option);
        const auto found = given.find(option);
        if (found != given.end()) {
            TORCH_CHECK(Kind<T>::fits(found->second), "make: ", option, " of ", name, " should be ", Kind<T>::name,
                        " but is ", found->second);
            value = Kind<T>::of(found->second);
        }
        return *this;
    }

    void check_all_known() const {
        for (const auto &[option, value] : given) {
            TORCH_CHECK(known.count(option) == 1, "make: ", option, " is no option of ", name, ", which has ",
                        std::vector<std::string>(known.begin(), known.end()));
        }
    }
};

// A module that is called (guide, x) itself.
template<class Impl, class... Arguments> Upsampler guided(Request &request, Arguments &&...arguments) {
    request.check_all_known();
    return {std::make_shared<Impl>(std::forward<Arguments>(arguments)...),
            [](torch::nn::Module &module, const Tensor &guide, const Tensor &x) {
                return static_cast<Impl &>(module).forward(guide, x);
            }};
}

// Holds a module that takes no guide, under the name that it has in Python.
template<class Impl> struct Holder : torch::nn::Cloneable<Holder<Impl>> {
    explicit Holder(std::shared_ptr<Impl> of) : upsampler(this->register_module("upsampler", std::move(of))) {}
    void reset() override {
        upsampler = this->register_module("upsampler", std::dynamic_pointer_cast<Impl>(upsampler->clone()));
    }

    std::shared_ptr<Impl> upsampler;
    const char *title = "";
    int64_t ratio = 0;
};

// A module whose output is ratio times x, and so has to be the guide.
template<class Impl, class Options> Upsampler unguided(Request &request, const char *title, const Options &options) {
    request.check_all_known();
    auto holder = std::make_shared<Holder<Impl>>(std::make_shared<Impl>(options));
    holder->title = title;
    holder->ratio = request.whole();
    return {holder, [](torch::nn::Module &module, const Tensor &guide, const Tensor &x) {
                auto &self = static_cast<Holder<Impl> &>(module);
                TORCH_CHECK(x.dim() == 4, self.title, ": x should be [N, C, h, w] but is ", x.sizes());
                check_multiple(self.title, "guide", guide, x, self.ratio);
                return self.upsampler->forward(x);
            }};
}

// An interpolation to the guide's size.
template<class Impl> Upsampler sized_by_guide(Request &request) {
    bool recompute = false;
    request.read("recompute_scale_factor", recompute).check_all_known();
    return {std::make_shared<Holder<Impl>>(std::make_shared<Impl>(*request.ratio, recompute)),
            [](torch::nn::Module &module, const Tensor &guide, const Tensor &x) {
                const std::array<int64_t, 2> size{guide.size(2), guide.size(3)};
                return static_cast<Holder<Impl> &>(module).upsampler->forward(x, size);
            }};
}

// The first of choices that divides the channels.
int64_t largest(int64_t channels, std::initializer_list<int64_t> choices) {
    return *std::find_if(choices.begin(), choices.end(), [&](int64_t choice) { return channels % choice == 0; });
}

Upsampler make_resfu(Request &r) {
    ReSFUOptions o(r.guide_channels);
    o.dim_x(r.channels).scale_factor(r.ratio);
    r.read("groups", o.groups()).read("kernel_size", o.kernel_size()).read("embedding_dim", o.embedding_dim());
    r.read("y_conv", o.y_conv()).read("qkv_bias", o.qkv_bias()).read("normx", o.normx()).read("normy", o.normy());
    r.read("gn_dim", o.gn_dim()).read("radius", o.radius()).read("eps", o.eps()).read("gf_scale", o.gf_scale());
    r.read("lr_mult", o.lr_mult()).read("layout", o.layout()).read("gf_centred", o.gf_centred());
    return guided<ReSFUImpl>(r, o);
}

Upsampler make_carafe(Request &r) {
    CARAFEOptions o(r.channels, r.whole());
    r.read("up_kernel", o.up_kernel()).read("up_group", o.up_group()).read("encoder_kernel", o.encoder_kernel());
    r.read("encoder_dilation", o.encoder_dilation()).read("compressed_channels", o.compressed_channels());
    r.read("border", o.border());
    return unguided<CARAFEImpl>(r, "CARAFE", o);
}

Upsampler make_lctc(Request &r) {
    LCTCOptions o(r.channels, r.channels);
    o.stride(r.whole());
    r.read("kernel_size", o.kernel_size()).read("small_kernel", o.small_kernel());
    r.read("groups", o.groups()).read("bias", o.bias());
    return unguided<LCTCImpl>(r, "LCTC", o);
}

Upsampler make_wrc(Request &r) {
    WRCOptions o(r.channels, 3);
    o.scale(r.whole());
    r.read("kernel_size", o.kernel_size()).read("padding", o.padding()).read("padding_mode", o.padding_mode());
    r.read("eps", o.eps()).read("solver", o.solver()).read("centre", o.centre());
    r.read("tolerance", o.tolerance()).read("max_iterations", o.max_iterations());
    return unguided<WRCImpl>(r, "WRC", o);
}

Upsampler make_dysample(Request &r) {
    DySampleOptions o(r.channels);
    o.scale(r.whole()).groups(largest(r.channels, {4, 3, 2, 1}));
    r.read("style", o.style()).read("groups", o.groups()).read("dyscope", o.dyscope());
    return unguided<DySampleImpl>(r, "DySample", o);
}

Upsampler make_sapa(Request &r) {
    SAPAOptions o(r.guide_channels);
    o.dim_x(r.channels).up_factor(r.whole_or_none());
    r.read("up_kernel_size", o.up_kernel_size()).read("embedding_dim", o.embedding_dim());
    r.read("qkv_bias", o.qkv_bias()).read("norm", o.norm()).read("border", o.border());
    return guided<SAPAImpl>(r, o);
}

Upsampler make_sapa_exp(Request &r) {
    SAPAExpOptions o(r.guide_channels);
    o.dim_x(r.channels).up_factor(r.whole_or_none());
    r.read("q_mode", o.q_mode()).read("v_embed", o.v_embed()).read("up_kernel_size", o.up_kernel_size());
    r.read("embedding_dim", o.embedding_dim()).read("qkv_bias", o.qkv_bias()).read("border", o.border());
    return guided<SAPAExpImpl>(r, o);
}

Upsampler make_fade(Request &r) {
    FADEOptions o(r.guide_channels);
    o.in_channels_de(r.channels).scale(r.whole_or_none());
    r.read("up_kernel_size", o.up_kernel_size()).read("variant", o.variant()).read("border", o.border());
    return guided<FADEImpl>(r, o);
}

Upsampler make_index_net(Request &r) {
    IndexNetOptions o(r.channels, r.guide_channels);
    o.scale_factor(r.whole());
    r.read("block", o.block()).read("use_nonlinear", o.use_nonlinear()).read("use_context", o.use_context());
    return guided<IndexNetImpl>(r, o);
}

Upsampler make_pixel_shuffle(Request &r) {
    PixelShuffleOptions o(r.channels, r.whole());
    r.read("kernel_size", o.kernel_size());
    return unguided<PixelShuffleImpl>(r, "PixelShuffle", o);
}

Upsampler make_deconv(Request &r) {
    DeconvOptions o(r.channels, r.whole());
    r.read("kernel_size", o.kernel_size()).read("groups", o.groups()).read("bias", o.bias());
    return unguided<DeconvImpl>(r, "Deconv", o);
}

Upsampler make_anyup(Request &r) {
    AnyUpOptions o;
    o.input_dim(r.guide_channels);
    r.read("qk_dim", o.qk_dim()).read("kernel_size", o.kernel_size()).read("kernel_size_lfu", o.kernel_size_lfu());
    r.read("window_ratio", o.window_ratio()).read("num_heads", o.num_heads()).read("lfu_dim", o.lfu_dim());
    r.read("init_gaussian_derivatives", o.init_gaussian_derivatives());
    return guided<AnyUpImpl>(r, o);
}

Upsampler make_naf(Request &r) {
    NAFOptions o;
    o.input_dim(r.guide_channels).heads_attn(largest(r.channels, {4, 2, 1}));
    r.read("dim", o.dim()).read("heads_attn", o.heads_attn()).read("heads_rope", o.heads_rope());
    r.read("kernel_size", o.kernel_size()).read("use_encoder", o.use_encoder()).read("rope_base", o.rope_base());
    r.read("rope_rescale", o.rope_rescale()).read("img_layers", o.img_layers());
    r.read("window_published", o.window_published());
    return guided<NAFImpl>(r, o);
}

Upsampler make_jafar(Request &r) {
    JAFAROptions o;
    o.input_dim(r.guide_channels).v_dim(r.channels);
    r.read("qk_dim", o.qk_dim()).read("kernel_size", o.kernel_size()).read("num_heads", o.num_heads());
    return guided<JAFARImpl>(r, o);
}

// The guide is behind x in its call.
Upsampler make_jbu(Request &r) {
    JBULearnedRangeOptions o(r.guide_channels, r.channels, 32);
    r.read("key_dim", o.key_dim()).read("radius", o.radius()).check_all_known();
    return {std::make_shared<Holder<JBULearnedRangeImpl>>(std::make_shared<JBULearnedRangeImpl>(o)),
            [](torch::nn::Module &module, const Tensor &guide, const Tensor &x) {
                return static_cast<Holder<JBULearnedRangeImpl> &>(module).upsampler->forward(x, guide);
            }};
}

Upsampler make_local_attender(Request &r) {
    LocalAttenderOptions o(r.guide_channels);
    r.read("num_connected", o.num_connected()).read("conv_res", o.conv_res());
    return guided<LocalAttenderImpl>(r, o);
}

enum class Ratios { Whole, WholeOrNone, Real, RealOrNone };

struct Row {
    const char *name;
    Ratios ratios;
    Upsampler (*build)(Request &);
    bool guided = true;
};

const Row rows[] = {
    {"resfu", Ratios::RealOrNone, make_resfu},
    {"carafe", Ratios::Whole, make_carafe, false},
    {"lctc", Ratios::Whole, make_lctc, false},
    {"wrc", Ratios::Whole, make_wrc, false},
    {"dysample", Ratios::Whole, make_dysample, false},
    {"sapa", Ratios::WholeOrNone, make_sapa},
    {"sapa_exp", Ratios::WholeOrNone, make_sapa_exp},
    {"fade", Ratios::WholeOrNone, make_fade},
    {"indexnet", Ratios::Whole, make_index_net},
    {"pixelshuffle", Ratios::Whole, make_pixel_shuffle, false},
    {"deconv", Ratios::Whole, make_deconv, false},
    {"anyup", Ratios::RealOrNone, make_anyup},
    {"naf", Ratios::RealOrNone, make_naf},
    {"jafar", Ratios::RealOrNone, make_jafar},
    {"jbu", Ratios::RealOrNone, make_jbu},
    {"local_attender", Ratios::Whole, make_local_attender},
    {"bilinear", Ratios::Real, sized_by_guide<BilinearImpl>, false},
    {"nearest", Ratios::Real, sized_by_guide<NearestImpl>, false},
};

void check_ratio(const Row &row, std::optional<double> ratio) {
    const bool may_be_none = row.ratios == Ratios::WholeOrNone || row.ratios == Ratios::RealOrNone;
    const bool whole = row.ratios == Ratios::Whole || row.ratios == Ratios::WholeOrNone;
    const bool positive = ratio && *ratio > 0 && std::isfinite(*ratio);
    const bool takes = ratio ? positive && (!whole || *ratio == std::floor(*ratio)) : may_be_none;
    TORCH_CHECK(takes, "make: scale_factor of ", row.name, " should be ",
                whole ? "an integer >= 1" : "positive and finite", may_be_none ? " or none" : "", " but is ",
                ratio ? std::to_string(*ratio) : "none");
}

}  // namespace

Upsampler make(const std::string &name, int64_t in_channels, int64_t guide_channels, std::optional<double> scale_factor,
               const MakeOptions &options) {
    const auto row = std::find_if(std::begin(rows), std::end(rows), [&](const Row &r) { return name == r.name; });
    TORCH_CHECK(row != std::end(rows), "make: name should be one of ", upsamplers(), " but is '", name, "'");
    check_least("make", "in_channels", in_channels, 1);
    if (row->guided) {
        check_least("make", "guide_channels", guide_channels, 1);
    }
    check_ratio(*row, scale_factor);
    Request request{name, in_channels, guide_channels, scale_factor, options};
    return row->build(request);
}

std::vector<std::string> upsamplers() {
    std::vector<std::string> names;
    for (const Row &row : rows) {
        names.emplace_back(row.name);
    }
    return names;
}

}  // namespace upwell::nn
