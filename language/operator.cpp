// From an author's words to a description.
#include "upwell/operator.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <mutex>
#include <set>
#include <stdexcept>

#include "description.h"

namespace upwell {
namespace {

// The description that is being made on this thread.
struct Draft {
    Description description;
    int kernel = 0, border = 0;
};
thread_local Draft *draft = nullptr;

[[noreturn]] void refuse(const std::string &problem) {
    throw std::invalid_argument((draft ? draft->description.name + ": " : "operator: ") + problem);
}

Draft &current() {
    if (!draft) {
        refuse("maps, taps and weights belong in the body of UPWELL_OPERATOR");
    }
    return *draft;
}

bool is_identifier(const std::string &name) {
    const auto is_letter = [](char c) { return ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || c == '_'; };
    return !name.empty() && is_letter(name[0]) &&
           std::all_of(name.begin(), name.end(), [&](char c) { return is_letter(c) || ('0' <= c && c <= '9'); });
}

// Whether an operator of this name could be one that follows from another.
bool is_derived(const std::string &name) {
    const auto ends_with = [&](const std::string &end) {
        return name.size() >= end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
    };
    return name.find("_d_") != std::string::npos || name.find("_scores_") != std::string::npos ||
           ends_with("_scores") || ends_with("_sum") || ends_with("_and_weights");
}

// Names that the derived operators give to arguments of their own.
const std::set<std::string> taken{"kernel", "groups", "border", "mask_ratio", "size",    "scale_h", "scale_w",
                                  "h",      "w",      "output", "d_output",   "scores",  "N",       "H",
                                  "W",      "G",      "K",      "self",       "options", "out"};

Map add_map(const std::string &name, const std::string &channels, const std::string &doc, MapArgument::Kind kind) {
    std::vector<MapArgument> &maps = current().description.maps;
    if (!is_identifier(name) || name[0] == '_') {
        refuse("a map's name should be letters, digits and _, a letter first, but is '" + name + "'");
    }
    if (taken.count(name) || name.rfind("d_", 0) == 0) {
        refuse("a map may not be called " + name + ": other arguments, sizes and gradients are");
    }
    if (std::any_of(maps.begin(), maps.end(), [&](const MapArgument &map) { return map.name == name; })) {
        refuse("two maps are called " + name);
    }
    const bool has_channels = kind == MapArgument::Kind::LowRes || kind == MapArgument::Kind::HighRes;
    if (has_channels && (!is_identifier(channels) || taken.count(channels))) {
        refuse(name + ": the channels should have a name, and not that of another size, but are '" + channels + "'");
    }
    maps.push_back({name, channels, doc, kind});
    return {static_cast<int>(maps.size()) - 1};
}

const MapArgument &find(const Map &map, const std::string &use, MapArgument::Kind kind) {
    const std::vector<MapArgument> &maps = current().description.maps;
    if (map.index < 0 || map.index >= static_cast<int>(maps.size())) {
        refuse(use + " is no map of this operator: low_res(name, channels) or high_res(name, channels) makes one");
    }
    const MapArgument &found = maps[map.index];
    if (found.kind != kind) {
        refuse(use + " should be a " + (kind == MapArgument::Kind::LowRes ? "low_res" : "high_res") + " map but " +
               found.name + " is not");
    }
    return found;
}

std::string text_of(const Taps &taps) {
    return taps.listed.count > 0 ? std::to_string(taps.listed.count) + " listed taps"
                                 : std::to_string(taps.kernel) + " x " + std::to_string(taps.kernel) + " taps";
}

std::string text_of(const Sampling &sampling) {
    return sampling == Sampling::Nearest    ? "Sampling::Nearest"
           : sampling == Sampling::Bilinear ? "Sampling::Bilinear"
           : sampling == Sampling::Bicubic  ? "Sampling::Bicubic"
                                            : "one of cells " + std::to_string(sampling.first) + " .. " +
                                                 std::to_string(sampling.first + sampling.cells - 1) +
                                                 (sampling.between_cells ? ", between cells" : ", on cells");
}

// How many there are, as a size of an argument.
std::string count_of(const Taps &taps) {
    return taps.listed.count > 0 ? std::to_string(taps.listed.count) : "K*K";
}

constexpr int most_reach = 16, most_side = 13;  // of more, compiling one kernel takes minutes

void check_border(const Taps &taps) {
    const bool is_on_cells = !taps.sampling.between_cells && 2 * taps.sampling.first + taps.sampling.cells == 1;
    if (taps.border == Border::Reflect && !is_on_cells) {
        refuse("Border::Reflect should be with a sampling on cells that reads as many to both sides, as "
               "Sampling::Nearest, but is with " +
               text_of(taps.sampling));
    }
    if (taps.border == Border::Inside && (!is_on_cells || taps.sampling.cells > 1 || taps.grid != Grid::LowRes)) {
        refuse("Border::Inside should be with Grid::LowRes and a sampling that reads one cell, as Sampling::Nearest, "
               "but is with " +
               std::string(taps.grid == Grid::LowRes ? "Grid::LowRes" : "Grid::HighRes") + " and " +
               text_of(taps.sampling));
    }
    if ((taps.border == Border::Masked || taps.border == Border::Inside) && taps.central() < 0) {
        refuse("where taps may be masked one should be at the pixel's own place, (0, 0)");
    }
}

void check_taps(const Taps &taps) {
    if (taps.kernel < 1 || taps.kernel % 2 == 0) {
        refuse("taps per side should be odd and positive but are " + std::to_string(taps.kernel));
    }
    if (taps.kernel > most_side) {
        refuse("taps per side should be at most " + std::to_string(most_side) + " but are " +
               std::to_string(taps.kernel));
    }
    check_border(taps);
    const Description &description = current().description;
    const int expected = description.usual_kernel ? draft->kernel : 1;
    if (taps.listed.count == 0 && taps.kernel != expected) {
        refuse("taps per side should be " +
               (description.usual_kernel ? "taps_per_side(), here " + std::to_string(expected) + ","
                                         : std::string("1, or taps_per_side(), or taps_at(offsets, ...),")) +
               " but are " + std::to_string(taps.kernel));
    }
    const auto &[between_cells, first, cells, weights] = taps.sampling;
    if (cells < 1 || cells > static_cast<int>(weights.size()) || first < -most_reach || first > most_reach) {
        refuse("a sampling should read 1 .. 4 cells, at most 16 away, but reads " + std::to_string(cells) + " from " +
               std::to_string(first) + " on");
    }
    for (const Polynomial &weight : weights) {
        if (!std::all_of(weight.begin(), weight.end(), [](double x) { return std::isfinite(x); })) {
            refuse("the weights of a sampling should be finite");
        }
    }
}

// Every map is one of those that the result is made of.
void check_all_used(const Description &description) {
    for (int i = 0; i < static_cast<int>(description.maps.size()); i++) {
        if (i != description.value && i != description.weights && i != description.query && i != description.key &&
            i != description.bias) {
            refuse(description.maps[i].name + " is not used");
        }
    }
}

void complete(Description &description, const Upsampled &result) {
    description.value = result.value.index;
    find(result.value, "reassemble: value", MapArgument::Kind::LowRes);
    const TapWeights &weights = result.weights;
    const bool has_weights = weights.map >= 0 || weights.query >= 0;
    const Normaliser normaliser = !has_weights        ? Normaliser::Constant
                                  : weights.softmaxes ? Normaliser::Softmax
                                                      : Normaliser::None;
    check_taps(result.taps);
    if (has_weights && weights.taps.count() != result.taps.count()) {
        refuse("reassemble: the weights are of " + text_of(weights.taps) + ", the value is read at " +
               text_of(result.taps));
    }
    if (result.taps.border == Border::Masked && normaliser != Normaliser::Softmax) {
        refuse("a masked border leaves taps out of a softmax, and there is none");
    }
    const std::string suffix = description.borders.empty() ? "" : description.borders[draft->border].suffix;
    description.window = {description.name + suffix, result.taps, normaliser};
    description.has_groups = weights.groups == Groups::Any;
    description.weights = weights.map;
    description.query = weights.query;
    description.key = weights.key;
    description.bias = weights.bias;
    if (weights.query >= 0) {
        description.dot =
            Window{description.name + "_scores" + suffix, weights.taps, Normaliser::None, weights.bias >= 0};
        if (description.key == description.value) {
            refuse("dot: key and value are one map; they should be two arguments, which a call may give one tensor");
        }
        if (weights.taps.border == Border::Masked && result.taps.border != Border::Masked) {
            refuse("dot: taps that are masked leave the softmax, so those of reassemble should be masked too");
        }
        if ((weights.taps.border == Border::Inside) != (result.taps.border == Border::Inside)) {
            refuse("dot: where taps move inside the map, those of reassemble should do so too");
        }
    }
    check_all_used(description);
}

std::mutex &mutex() {
    static std::mutex one;
    return one;
}
std::deque<Author> &authors() {  // which stay where they are
    static std::deque<Author> all;
    return all;
}
std::vector<std::function<void(const Author &)>> &visitors() {
    static std::vector<std::function<void(const Author &)>> all;
    return all;
}

std::vector<std::string> &refusals() {
    static std::vector<std::string> all;
    return all;
}

// [] where there is a tap at every place.
std::string offsets_as_json(const Taps &taps) {
    std::string list;
    for (int tap = 0; tap < taps.listed.count; tap++) {
        const Offset &offset = taps.listed.offsets[tap];
        list += (tap ? ", [" : "[") + std::to_string(offset.row) + ", " + std::to_string(offset.column) + "]";
    }
    return "[" + list + "]";
}

std::string window_as_json(const Window &window) {
    const Taps &taps = window.taps;
    const char *const normalisers[] = {"constant", "none", "softmax"}, *const borders[] = {"replicate", "zero",
                                                                                           "masked", "reflect",
                                                                                           "inside"};
    return "{\"name\": " + quoted(window.name) + ", \"grid\": \"" +
           (taps.grid == Grid::LowRes ? "low_res" : "high_res") +
           "\", \"between_cells\": " + (taps.sampling.between_cells ? "true" : "false") +
           ", \"cells_per_tap\": " + std::to_string(taps.sampling.cells) +
           ", \"side\": " + std::to_string(taps.kernel) + ", \"taps\": " + std::to_string(taps.count()) +
           ", \"offsets\": " + offsets_as_json(taps) + ", \"border\": \"" + borders[static_cast<int>(taps.border)] +
           "\", \"normaliser\": \"" + normalisers[static_cast<int>(window.normaliser)] + "\"}";
}

std::string as_json(const Author &author) {
    const Description d = author.describe();
    std::string maps, borders, all;
    for (const Window &window : windows(author)) {
        all += (all.empty() ? "" : ", ") + window_as_json(window);
    }
    for (const MapArgument &map : d.maps) {
        const bool low = map.kind == MapArgument::Kind::LowRes, is_bias = map.kind == MapArgument::Kind::Bias;
        const std::string sizes = is_bias ? map.channels : "N, " + map.channels + (low ? ", h, w" : ", H, W");
        maps += (maps.empty() ? "" : ", ") + std::string("{\"name\": ") + quoted(map.name) + ", \"sizes\": \"" + sizes +
                "\", \"doc\": " + quoted(map.doc) + "}";
    }
    for (const BorderChoice &choice : d.borders) {
        borders += (borders.empty() ? "" : ", ") + quoted(choice.name);
    }
    return "{\"name\": " + quoted(d.name) + ", \"doc\": " + quoted(d.doc) + ", \"maps\": [" + maps +
           "], \"kernel\": " + (d.usual_kernel ? std::to_string(*d.usual_kernel) : "null") +
           ", \"groups\": " + (d.has_groups ? "true" : "false") + ", \"borders\": [" + borders +
           "], \"mask_ratio\": " + (d.has_mask_ratio() ? "true" : "false") +
           ", \"scores\": " + (d.dot ? "true" : "false") + ", \"bias\": " + (d.bias >= 0 ? "true" : "false") +
           ", \"windows\": [" + all + "]}";
}

}  // namespace

Map low_res(const std::string &name, const std::string &channels, const std::string &doc) {
    return add_map(name, channels, doc, MapArgument::Kind::LowRes);
}

Map high_res(const std::string &name, const std::string &channels, const std::string &doc) {
    return add_map(name, channels, doc, MapArgument::Kind::HighRes);
}

TapWeights tap_weights(const std::string &name, const Taps &taps, Groups groups, const std::string &doc) {
    check_taps(taps);
    const std::string channels = (groups == Groups::Any ? "G*" : "") + count_of(taps);
    return {add_map(name, channels, doc, MapArgument::Kind::Weights).index, -1, -1, -1, taps, groups, 0};
}

Taps taps_at(const std::vector<Offset> &offsets, Grid grid, const Sampling &sampling, Border border) {
    current();
    const int most = OffsetList::most, farthest = OffsetList::farthest;
    if (offsets.empty() || offsets.size() > most) {
        refuse("taps_at: there should be 1 .. " + std::to_string(most) + " offsets but there are " +
               std::to_string(offsets.size()));
    }
    Taps taps{1, grid, sampling, border};
    for (const Offset &offset : offsets) {
        const std::string text = "(" + std::to_string(offset.row) + ", " + std::to_string(offset.column) + ")";
        const auto &known = taps.listed.offsets;
        if (std::find(known.begin(), known.begin() + taps.listed.count, offset) != known.begin() + taps.listed.count) {
            refuse("taps_at: offset " + text + " is there twice");
        }
        const int reach = std::max(std::abs(offset.row), std::abs(offset.column));
        if (reach > farthest) {
            refuse("taps_at: an offset should be at most " + std::to_string(farthest) +
                   " rows and columns away but is " + text);
        }
        taps.kernel = std::max(taps.kernel, 2 * reach + 1);
        taps.listed.offsets[taps.listed.count++] = offset;
    }
    return taps;
}

TapWeights dot(const Map &query, const Map &key, const Taps &taps, Groups groups) {
    const MapArgument &high = find(query, "dot: query", MapArgument::Kind::HighRes);
    const MapArgument &low = find(key, "dot: key", MapArgument::Kind::LowRes);
    if (high.channels != low.channels) {
        refuse("dot: " + high.name + " has " + high.channels + " channels and " + low.name + " has " + low.channels);
    }
    check_taps(taps);
    return {-1, query.index, key.index, -1, taps, groups, 0};
}

TapBias tap_bias(const std::string &name, const Taps &taps, Groups groups, const std::string &doc) {
    check_taps(taps);
    const std::string sizes = (groups == Groups::Any ? "G, " : "") + count_of(taps);
    return {add_map(name, sizes, doc, MapArgument::Kind::Bias).index, taps, groups};
}

TapWeights operator+(const TapWeights &products, const TapBias &bias) {
    const std::vector<MapArgument> &maps = current().description.maps;
    const bool is_map = bias.map >= 0 && bias.map < static_cast<int>(maps.size());
    if (!is_map) {
        refuse("the bias is none of this operator: tap_bias(name, taps) makes one");
    }
    const std::string &name = maps[bias.map].name;
    if (products.query < 0 || products.softmaxes > 0 || products.bias >= 0) {
        refuse(name + ": a bias is added to dot(query, key, taps), once, before a softmax of it");
    }
    if (products.taps.count() != bias.taps.count()) {
        refuse(name + ": the products are of " + text_of(products.taps) + ", the bias of " + text_of(bias.taps));
    }
    if (products.groups != bias.groups) {
        refuse(name + ": the bias should have groups as the products have, or none as they");
    }
    TapWeights sum = products;
    sum.bias = bias.map;
    return sum;
}

TapWeights softmax(const TapWeights &weights) {
    if (weights.softmaxes > 0) {
        refuse("softmax: these weights are a softmax already");
    }
    TapWeights normalised = weights;
    normalised.softmaxes++;
    return normalised;
}

Upsampled::Upsampled(const TapWeights &) : value(), taps() {
    refuse("weights alone make no map: a description ends in reassemble(value, weights, taps)");
}

Upsampled reassemble(const Map &value, const TapWeights &weights, const Taps &taps) {
    if (weights.map < 0 && weights.query < 0) {
        refuse("reassemble: weights should be tap_weights(name, taps), dot(query, key, taps) or a softmax of these");
    }
    return {value, weights, taps};
}

Upsampled sample(const Map &value, Grid grid, const Sampling &sampling, Border border) {
    return {value, TapWeights{}, Taps{1, grid, sampling, border}};
}

int taps_per_side(int usual) {
    Draft &own = current();
    own.description.usual_kernel = usual;
    own.kernel = own.kernel ? own.kernel : usual;
    return own.kernel;
}

Border border(std::initializer_list<BorderChoice> choices) {
    Draft &own = current();
    if (!own.description.borders.empty() || choices.size() == 0) {
        refuse("border: there should be one list of choices");
    }
    std::set<std::string> names, suffixes;
    for (const BorderChoice &choice : choices) {
        const bool is_suffix = choice.suffix.empty() ||
                               (choice.suffix[0] == '_' && is_identifier(choice.suffix) && !is_derived(choice.suffix));
        if (!is_identifier(choice.name) || !names.insert(choice.name).second || !is_suffix ||
            !suffixes.insert(choice.suffix).second) {
            refuse(
                "border: every choice should have a name and a suffix of its own (none, or _ and a word) but there is "
                "'" +
                choice.name + "' with '" + choice.suffix + "'");
        }
    }
    own.description.borders = choices;
    if (own.border >= static_cast<int>(choices.size())) {
        refuse("border: there are " + std::to_string(choices.size()) + " choices");
    }
    return own.description.borders[own.border].border;
}

bool add_operator(const char *name, const char *doc, Upsampled (*body)()) {
    const std::lock_guard lock(mutex());
    // It runs while a library is loaded, where an exception would end the process.
    try {
        const auto is_same = [&](const Author &author) { return author.name() == name; };
        if (std::any_of(authors().begin(), authors().end(), is_same)) {
            throw std::invalid_argument(std::string(name) + ": there is an operator of this name already");
        }
        const Author author(name, doc ? doc : "", body);
        author.describe();
        authors().push_back(author);
        try {
            for (const auto &visit : visitors()) {
                visit(authors().back());
            }
        } catch (...) {
            authors().pop_back();
            throw;
        }
        return true;
    } catch (const std::exception &error) {
        refusals().push_back(error.what());
        return false;
    }
}

std::vector<std::string> take_refusals() {
    const std::lock_guard lock(mutex());
    return std::exchange(refusals(), {});
}

std::string generator_name(const std::string &window, Direction direction) {
    const char *const suffixes[] = {"", "_d_value", "_d_weight"};
    return window + suffixes[static_cast<int>(direction)];
}

Description Author::describe(int kernel, int border) const {
    Draft own;
    own.description.name = name_;
    own.description.doc = doc_;
    if (!is_identifier(name_) || name_[0] == '_' || is_derived(name_)) {
        throw std::invalid_argument(name_ + ": an operator's name should be letters, digits and _, a letter first, "
                                            "without _d_, _scores or _sum, which follow from it");
    }
    own.kernel = kernel;
    own.border = border;
    Draft *const outer = std::exchange(draft, &own);
    try {
        complete(own.description, body_());
    } catch (const std::exception &error) {
        draft = outer;
        const std::string what = error.what();
        throw std::invalid_argument(what.rfind(name_ + ": ", 0) == 0 ? what : name_ + ": " + what);
    } catch (...) {
        draft = outer;
        throw std::invalid_argument(name_ + ": the description throws what is no exception");
    }
    draft = outer;
    return own.description;
}

void for_each_author(const std::function<void(const Author &)> &visit) {
    const std::lock_guard lock(mutex());
    for (const Author &author : authors()) {
        visit(author);
    }
}

void watch_authors(std::function<void(const Author &)> visit) {
    const std::lock_guard lock(mutex());
    for (const Author &author : authors()) {
        visit(author);
    }
    visitors().push_back(std::move(visit));
}

std::vector<Window> windows(const Author &author, int kernel) {
    std::vector<Window> all;
    const int borders = std::max<int>(1, static_cast<int>(author.describe(kernel).borders.size()));
    for (int border = 0; border < borders; border++) {
        const Description description = author.describe(kernel, border);
        all.push_back(description.window);
        if (description.dot) {
            all.push_back(*description.dot);
        }
    }
    return all;
}

std::string quoted(const std::string &text) {
    std::string json = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            json += '\\';
        }
        json += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
    return json + "\"";
}

std::string as_json(const std::vector<const Author *> &operators) {
    std::string list;
    for (const Author *author : operators) {
        list += (list.empty() ? "" : ",\n ") + as_json(*author);
    }
    return "[" + list + "]";
}

}  // namespace upwell
