// ReSFU's inference on buffers, without torch: a trained module that export.py wrote to a folder, on the maps there.
//
//     resfu FOLDER     reads y, x and the module's parameters, writes output.f32
#include <array>
#include <cmath>
#include <iostream>

#include "buffers.h"

namespace {

// The 1x1 convolution `name` of x normalised by `norm`: a normalisation is affine once its statistics are known.
Buffer project(Folder &folder, const std::string &name, const std::string &norm, int64_t groups, Buffer &x) {
    const int64_t N = x.sizes[0], C = x.sizes[1], pixels = x.sizes[2] * x.sizes[3], each = C / groups;
    Buffer mean({N, groups}), rstd({N, groups});
    upwell::run("group_stats",
                {{"x", x.tensor()}, {"groups", groups}, {"mean", mean.tensor()}, {"rstd", rstd.tensor()}});
    const Buffer &weight = folder[name + ".weight"], &bias = folder[name + ".bias"];
    const Buffer &scale = folder[norm + ".weight"], &shift = folder[norm + ".bias"];
    const int64_t D = weight.sizes[0];
    Buffer result({N, D, x.sizes[2], x.sizes[3]});
    for (int64_t n = 0; n < N; n++) {
        for (int64_t d = 0; d < D; d++) {
            float *to = &result.numbers[(n * D + d) * pixels];
            std::fill(to, to + pixels, bias.numbers[d]);
            for (int64_t c = 0; c < C; c++) {
                const int64_t group = n * groups + c / each;
                const float factor = scale.numbers[c] * rstd.numbers[group];
                const float offset = shift.numbers[c] - factor * mean.numbers[group];
                const float *from = &x.numbers[(n * C + c) * pixels], w = weight.numbers[d * C + c];
                for (int64_t i = 0; i < pixels; i++) {
                    to[i] += w * (factor * from[i] + offset);
                }
            }
        }
    }
    return result;
}

// Scores of the PCDC block `name`. ratio: how far taps are apart, rows' high and low, columns' high and low; without,
// key is a low-res map.
Buffer scores(Folder &folder, const std::string &name, Buffer &key, Buffer &query,
              const std::array<int64_t, 4> *ratio) {
    const int64_t groups = folder.integer("groups"), K = folder.integer("kernel_size");
    const auto parameter = [&](const std::string &own) -> Buffer & { return folder[name + "." + own]; };
    const auto line = [&](const std::string &own) {
        Buffer &buffer = parameter(own);
        return buffer.tensor({static_cast<int64_t>(buffer.count())});
    };
    const auto matrix = [&](const std::string &own) {
        Buffer &buffer = parameter(own);
        return buffer.tensor({buffer.sizes[0], buffer.sizes[1]});
    };
    Buffer output({query.sizes[0], K * K, query.sizes[2], query.sizes[3]});
    std::vector<upwell::NamedArgument> arguments{{"key", key.tensor()},
                                                 {"query", query.tensor()},
                                                 {"norm_weight", line("norm.weight")},
                                                 {"weight", parameter("weight").tensor()},
                                                 {"bias", line("bias")},
                                                 {"compress_weight", matrix("channel_compressor.1.weight")},
                                                 {"compress_bias", line("channel_compressor.1.bias")},
                                                 {"hidden_weight", line("channel_compressor.3.weight")},
                                                 {"hidden_bias", line("channel_compressor.3.bias")},
                                                 {"score_weight", matrix("channel_compressor.4.weight")},
                                                 {"score_bias", line("channel_compressor.4.bias")},
                                                 {"groups", groups},
                                                 {"norm_groups", folder.integer("gn_dim")},
                                                 {"output", output.tensor()}};
    if (ratio) {
        arguments.insert(arguments.end(), {{"row_high", (*ratio)[0]},
                                           {"row_low", (*ratio)[1]},
                                           {"column_high", (*ratio)[2]},
                                           {"column_low", (*ratio)[3]},
                                           {"blur", int64_t(1)}});
    }
    upwell::run("pcdc_scores", arguments);
    return output;
}

void upsample(Folder &folder) {
    Buffer &y = folder["y"], &x = folder["x"];
    Buffer query = project(folder, "q", "norm_y", folder.integer("norm_y_groups"), y);
    Buffer key = project(folder, "k", "norm_x", folder.integer("norm_x_groups"), x);
    Buffer filtered(query.sizes);
    upwell::run("guided_filter", {{"guide", query.tensor()},
                                  {"input", key.tensor()},
                                  {"radius", folder.integer("radius")},
                                  {"eps", folder.option("eps")},
                                  {"scale", folder.integer("gf_scale")},
                                  {"output", filtered.tensor()}});
    const std::array<int64_t, 4> ratio{y.sizes[2], x.sizes[2], y.sizes[3], x.sizes[3]};
    Buffer semantic = scores(folder, "semantic_scores", key, filtered, nullptr);
    const Buffer detail = scores(folder, "detail_scores", query, query, &ratio);
    for (size_t i = 0; i < semantic.numbers.size(); i++) {
        semantic.numbers[i] += detail.numbers[i];
    }
    Buffer output({x.sizes[0], x.sizes[1], y.sizes[2], y.sizes[3]});
    upwell::run("fns", {{"value", x.tensor()},
                        {"logits", semantic.tensor()},
                        {"kernel", folder.integer("kernel_size")},
                        {"output", output.tensor()}});
    folder.write("output", output);
}

}  // namespace

int main(int argc, char **argv) {
    if (argc != 2) {
        std::cerr << "usage: resfu FOLDER (see export.py)\n";
        return 2;
    }
    try {
        Folder folder(argv[1]);
        upsample(folder);
    } catch (const std::exception &error) {
        std::cerr << "resfu: " << error.what() << "\n";
        return 1;
    }
    return 0;
}
