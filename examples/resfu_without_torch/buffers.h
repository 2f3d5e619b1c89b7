// A folder of tensors: `tensors.txt` has a line `name size size ...` for each, its float32 numbers are in `name.f32`;
// `options.txt` has a line `name number` for each option.
#pragma once

#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <upwell.h>

// Numbers that own their memory.
struct Buffer {
    std::vector<int64_t> sizes;
    std::vector<float> numbers;

    explicit Buffer(std::vector<int64_t> sizes = {}) : sizes(std::move(sizes)), numbers(count()) {}

    size_t count() const {
        size_t count = 1;
        for (const int64_t size : sizes) {
            count *= size;
        }
        return count;
    }
    upwell::Tensor tensor() { return {numbers.data(), upwell::Dtype::Float32, sizes, {}}; }
    // In other sizes of as many numbers.
    upwell::Tensor tensor(std::vector<int64_t> as) {
        return {numbers.data(), upwell::Dtype::Float32, std::move(as), {}};
    }
};

class Folder {
public:
    explicit Folder(std::string path) : path(std::move(path)) {
        for_each_line("tensors.txt", [&](const std::string &name, std::istringstream &rest) {
            Buffer buffer;
            for (int64_t size = 0; rest >> size;) {
                buffer.sizes.push_back(size);
            }
            buffer.numbers.resize(buffer.count());
            std::ifstream file(this->path + "/" + name + ".f32", std::ios::binary);
            const auto bytes = static_cast<std::streamsize>(buffer.numbers.size() * sizeof(float));
            if (!file.read(reinterpret_cast<char *>(buffer.numbers.data()), bytes)) {
                throw std::runtime_error(name + ".f32 is too short");
            }
            tensors.emplace(name, std::move(buffer));
        });
        for_each_line("options.txt", [&](const std::string &name, std::istringstream &rest) { rest >> options[name]; });
    }

    Buffer &operator[](const std::string &name) {
        const auto found = tensors.find(name);
        if (found == tensors.end()) {
            throw std::runtime_error("no tensor " + name + " in " + path);
        }
        return found->second;
    }
    double option(const std::string &name) const { return options.at(name); }
    int64_t integer(const std::string &name) const { return static_cast<int64_t>(option(name)); }

    void write(const std::string &name, const Buffer &buffer) const {
        std::ofstream file(path + "/" + name + ".f32", std::ios::binary);
        file.write(reinterpret_cast<const char *>(buffer.numbers.data()),
                   static_cast<std::streamsize>(buffer.numbers.size() * sizeof(float)));
        if (!file) {
            throw std::runtime_error("could not write " + name + ".f32");
        }
    }

private:
    template<class F> void for_each_line(const std::string &file_name, const F &f) {
        std::ifstream file(path + "/" + file_name);
        if (!file) {
            throw std::runtime_error("no " + file_name + " in " + path);
        }
        for (std::string line; std::getline(file, line);) {
            std::istringstream words(line);
            if (std::string name; words >> name) {
                f(name, words);
            }
        }
    }

    std::string path;
    std::map<std::string, Buffer> tensors;
    std::map<std::string, double> options;
};
