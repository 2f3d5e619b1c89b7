// Guided disparity upsampling in C++: trains upwell::nn::ReSFU on crops of the maps that disparity.py exports and
// prints the error of bilinear and of ReSFU on the held-out part. Usage: disparity [folder = build/demo] [steps = 400]
#include "modules/resfu.h"

#include <torch/torch.h>

#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using torch::Tensor;
using torch::indexing::Ellipsis;
using torch::indexing::Slice;

constexpr int64_t CropCells = 22;  // low-res pixels per side of a training crop
constexpr int64_t Guide = 16;      // channels of the guidance that a stem makes of the picture

struct Part {
    Tensor image;  // 1, 3, H, W in 0 .. 1
    Tensor truth;  // 1, 1, H, W in px, 0 where unknown
    Tensor low;    // 1, 1, h, w in px
};

// A file that torch.save wrote.
Tensor load(const std::filesystem::path &path) {
    std::ifstream file(path, std::ios::binary);
    if (!file)
        throw std::runtime_error("no " + path.string() + ": run examples/disparity.py first");
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    return torch::pickle_load(bytes).toTensor();
}

Part load_part(const std::filesystem::path &folder, const std::string &name) {
    return {load(folder / (name + "_image.pt")), load(folder / (name + "_truth.pt")),
            load(folder / (name + "_low.pt"))};
}

Part random_crop(const Part &part) {
    const int64_t h = part.low.size(2), w = part.low.size(3), ratio = part.truth.size(2) / h;
    const int64_t row = torch::randint(h - CropCells + 1, {1}).item<int64_t>();
    const int64_t column = torch::randint(w - CropCells + 1, {1}).item<int64_t>();
    const auto crop = [&](const Tensor &map, int64_t scale) {
        return map.index({Ellipsis, Slice(scale * row, scale * (row + CropCells)),
                          Slice(scale * column, scale * (column + CropCells))});
    };
    return {crop(part.image, ratio), crop(part.truth, ratio), crop(part.low, 1)};
}

Tensor bilinear(const Part &part) {
    namespace F = torch::nn::functional;
    const std::vector<int64_t> size{part.truth.size(2), part.truth.size(3)};
    return F::interpolate(part.low, F::InterpolateFuncOptions().size(size).mode(torch::kBilinear).align_corners(false));
}

// Mean absolute error in px where the truth is known; pixels that bilinear gets wrong weigh more by `emphasis`.
Tensor error(const Tensor &upsampled, const Part &part, double emphasis = 0) {
    const Tensor hard = (bilinear(part) - part.truth).abs() > 1;
    const Tensor weight = (part.truth > 0) * (1 + emphasis * hard);
    return (weight * (upsampled - part.truth).abs()).sum() / weight.sum();
}

}  // namespace

int main(int argc, char **argv) try {
    const std::filesystem::path folder = argc > 1 ? argv[1] : "build/demo";
    const int steps = argc > 2 ? std::atoi(argv[2]) : 400;
    const Part train = load_part(folder, "train"), test = load_part(folder, "test");
    const double mean = train.low.mean().item<double>(), spread = train.low.std().item<double>();

    torch::manual_seed(0);
    // Two convolutions, trained along, turn the picture into features.
    const auto convolution = [](int64_t channels) {
        return torch::nn::Conv2d(
            torch::nn::Conv2dOptions(channels, Guide, 3).padding(1).padding_mode(torch::kReplicate));
    };
    torch::nn::Sequential stem(convolution(3), torch::nn::ReLU(), convolution(Guide));
    upwell::nn::ReSFU resfu(upwell::nn::ReSFUOptions(Guide)
                                .dim_x(1)
                                .embedding_dim(16)
                                .layout("paper")
                                .normx(false)
                                .normy(false)
                                .scale_factor(train.truth.size(2) / train.low.size(2)));
    torch::nn::init::normal_(resfu->q->weight, 0, 0.1);  // few channels: the published 0.02 would be too little
    torch::nn::init::normal_(resfu->k->weight, 0, 0.1);
    const auto upsample = [&](const Part &part) {
        return resfu->forward(stem->forward(2 * part.image - 1), (part.low - mean) / spread) * spread + mean;
    };
    std::vector<Tensor> parameters = stem->parameters();
    for (const Tensor &parameter : resfu->parameters())
        parameters.push_back(parameter);
    torch::optim::Adam optimiser(parameters, 5e-3);
    for (int step = 1; step <= steps; ++step) {
        const Part crop = random_crop(train);
        const Tensor loss = error(upsample(crop), crop, 5);
        optimiser.zero_grad();
        loss.backward();
        optimiser.step();
        if (step % 20 == 0 || step == steps)
            std::cout << "step " << step << " of " << steps << ", loss " << loss.item<double>() << " px" << std::endl;
    }
    const torch::NoGradGuard no_grad;
    std::cout << "mean error on the held-out part: bilinear " << error(bilinear(test), test).item<double>()
              << " px, ReSFU " << error(upsample(test), test).item<double>() << " px\n";
} catch (const std::exception &problem) {
    std::cerr << "disparity: " << problem.what() << "\n";
    return 1;
}
