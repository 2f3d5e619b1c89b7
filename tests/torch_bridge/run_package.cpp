// Loads a package of AOTInductor and runs it on the tensors of a file, once for each list: run_package <package>
// <inputs> <outputs>. Inputs and outputs are lists of lists, as torch.save writes them and torch.load reads them.
#include <fstream>
#include <iterator>

#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/serialize.h>

int main(int, char **arguments) {
    const c10::InferenceMode no_gradients;
    std::ifstream file(arguments[2], std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    torch::inductor::AOTIModelPackageLoader program(arguments[1]);
    const c10::IValue calls = torch::pickle_load(bytes);
    c10::List<c10::List<at::Tensor>> all;
    for (const c10::IValue &call : calls.toListRef()) {
        std::vector<at::Tensor> given;
        for (const c10::IValue &tensor : call.toListRef()) {
            given.push_back(tensor.toTensor());
        }
        all.push_back(c10::List<at::Tensor>(at::ArrayRef(program.run(given))));
    }
    const std::vector<char> made = torch::pickle_save(all);
    std::ofstream(arguments[3], std::ios::binary).write(made.data(), static_cast<std::streamsize>(made.size()));
}
