// Registers the generators of every operator that is described.
#include "../reassembly_generator.h"
#include "language/description.h"

namespace upwell {
namespace {

template<Direction direction> void add(const std::string &name, const std::function<Window(int)> &describe) {
    Halide::Internal::GeneratorRegistry::register_factory(name, [=](const Halide::GeneratorContext &context) {
        auto generator = ReassemblyGenerator<direction>::create(context, name, name);
        generator->describe = describe;
        return generator;
    });
}

void add_window(const Author &author, size_t index) {
    const Window window = windows(author).at(index);
    const auto describe = [author, index](int kernel) { return windows(author, kernel).at(index); };
    add<Direction::Forward>(generator_name(window.name, Direction::Forward), describe);
    add<Direction::DValue>(generator_name(window.name, Direction::DValue), describe);
    if (window.has_weights()) {
        add<Direction::DWeight>(generator_name(window.name, Direction::DWeight), describe);
    }
}

const bool added = [] {
    watch_authors([](const Author &author) {
        for (size_t i = 0; i < windows(author).size(); i++) {
            add_window(author, i);
        }
    });
    return true;
}();

}  // namespace
}  // namespace upwell
