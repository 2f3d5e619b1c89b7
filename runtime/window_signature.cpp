#include "window_signature.h"

#include <algorithm>
#include <memory>
#include <mutex>

#include "error.h"
#include "operator_call.h"
#include "tensor.h"

namespace upwell {
namespace {

const std::string low_res_map = "N,C,h,w", high_res_map = "N,C,H,W";

std::string tap_count(const WindowOperator &op) {
    return op.has_kernel ? "kernel*kernel" : std::to_string(op.tap_count(0));
}

std::string weight_map(const WindowOperator &op) {
    return std::string("N,") + (op.has_groups ? "groups*" : "") + tap_count(op) + ",H,W";
}

std::string bias_sizes(const WindowOperator &op) {
    return (op.has_groups ? "groups," : "") + tap_count(op);
}

// Where a call has what a window's kernels are chosen by; of what the operator does not take: -1.
class Places {
public:
    explicit Places(const Operator &op)
        : kernel(op.symbols.find("kernel")), groups(op.symbols.find("groups")),
          mask_ratio(op.symbols.find("mask_ratio")), border(op.option("border")), scale_h(op.option("scale_h")),
          scale_w(op.option("scale_w")) {}

    Parameters of(const OperatorCall &call) const {
        const auto integer = [&](int at, int64_t otherwise) { return at < 0 ? otherwise : *call.numbers[at]; };
        const auto real = [&](int at) { return at < 0 ? 0 : std::get<double>(call.options[at]); };
        Parameters parameters;
        parameters.kernel = integer(kernel, 1);
        parameters.groups = integer(groups, 1);
        parameters.mask_ratio = integer(mask_ratio, 0);
        parameters.scale = {real(scale_h), real(scale_w)};
        if (border >= 0) {
            const std::vector<std::string> &choices = call.op.signature.options[border].choices;
            const auto chosen = std::find(choices.begin(), choices.end(), std::get<std::string>(call.options[border]));
            parameters.border = static_cast<int>(chosen - choices.begin());
        }
        return parameters;
    }

private:
    int kernel, groups, mask_ratio;  // among the symbols
    int border, scale_h, scale_w;    // among the options
};

// Of the calls of one operator; found at the first.
class ParametersOfCalls {
public:
    Parameters of(const OperatorCall &call) const {
        std::call_once(once_->flag, [&] { once_->places.emplace(call.op); });
        return once_->places->of(call);
    }

private:
    struct Once {
        std::once_flag flag;
        std::optional<Places> places;
    };
    std::shared_ptr<Once> once_ = std::make_shared<Once>();
};

void add_options(Signature &signature, const WindowOperator &op) {
    const auto add = [&](OptionArgument option) { signature.options.push_back(std::move(option)); };
    if (op.has_kernel) {
        add(built_integer("kernel", [&op]() -> const std::vector<int64_t> & { return sides_of(op); }));
    }
    if (op.has_groups) {
        add(integer("groups", 1, INT_MAX, 1));
        signature.conditions.push_back({"C%groups == 0", "groups", "should divide the {C} channels but is {groups}"});
    }
    if (op.has_border()) {
        std::vector<std::string> choices;
        for (const WindowOperator::Choice &choice : op.choices) {
            choices.push_back(choice.border);
        }
        add(text("border", std::move(choices)));
    }
    if (op.has_mask_ratio) {
        add(optional_integer("mask_ratio"));
    }
    if (!op.has_weights()) {
        add(optional_real("scale_h"));
        add(optional_real("scale_w"));
    }
}

// T(weights, value, d_output) is linear in each, a softmax of weights aside: of whichever is made, the gradient by
// another is the direction that makes that other one, the incoming gradient in the place of the first.
void add_gradients(Signature &signature, const WindowOperator &op) {
    if (op.direction == Direction::DWeight && op.normaliser == Normaliser::Softmax) {
        return;
    }
    const auto name_of = [](const WindowOperator &each, Direction role) -> const std::string & {
        return role == Direction::Forward ? each.d_output : role == Direction::DValue ? each.value : each.weights;
    };
    for (const WindowOperator *of_input : op.directions) {
        if (!of_input || name_of(op, of_input->direction).empty()) {
            continue;
        }
        Gradient gradient{Gradient::Rule::Call, {name_of(op, of_input->direction)}, of_input->name};
        for (const Direction role : {Direction::Forward, Direction::DValue, Direction::DWeight}) {
            if (const std::string &theirs = name_of(*of_input, role); !theirs.empty()) {
                gradient.given.emplace_back(theirs, role == op.direction ? "d_" + op.output : name_of(op, role));
            }
        }
        signature.gradients.push_back(std::move(gradient));
    }
    if (!op.bias.empty()) {
        signature.gradients.push_back({Gradient::Rule::Call, {op.bias}, op.name + "_d_" + op.bias});
    }
}

// The sum over samples and pixels of d_weights N,T,H,W; first of the rows of each column, with columns side by side.
void sum_over_pixels(Host &host, const Tensor &d_weights, const Tensor &sums) {
    const int64_t N = d_weights.sizes[0], T = d_weights.sizes[1], H = d_weights.sizes[2], W = d_weights.sizes[3];
    const Tensor rows{d_weights.data, d_weights.dtype, {N, T, 1, H, W}, {}};
    const Tensor columns = host.scratch({T, 1, W});
    host.contract({columns, "tox"}, {rows, "ntoyx"});
    host.contract({{sums.data, sums.dtype, {T}, {}}, "t"}, {columns, "tox"});
}

}  // namespace

Signature signature_of_bias_gradient(const WindowOperator &op) {
    Signature signature;
    signature.name = op.name + "_d_" + op.bias;
    signature.doc = "A gradient of " + op.name + ".";
    signature.inputs = {tensor("d_" + op.output, "N,T,H,W")};
    if (op.has_groups) {
        signature.options = {integer("groups", 1, INT_MAX, 1)};
        signature.conditions = {
            {"T%groups == 0", "groups", "should divide the {T} weights of a pixel but is {groups}"}};
    }
    signature.outputs = {{"d_" + op.bias, op.has_groups ? "groups,T/groups" : "T"}};
    signature.gradients = {{Gradient::Rule::Spread, {"d_" + op.output}}};
    signature.run = [](Host &host, const OperatorCall &call) {
        sum_over_pixels(host, call.inputs[0], call.outputs[0]);
    };
    return signature;
}

Signature signature_of(const WindowOperator &op, const std::string &doc) {
    Signature signature;
    signature.name = op.name;
    signature.doc = doc;
    if (!op.d_output.empty()) {
        signature.inputs.push_back(tensor(op.d_output, high_res_map));
    }
    if (!op.value.empty()) {
        signature.inputs.push_back(tensor(op.value, low_res_map));
    }
    if (!op.weights.empty()) {
        signature.inputs.push_back(wide_tensor(op.weights, weight_map(op)));
    }
    if (!op.bias.empty()) {
        signature.inputs.push_back(wide_tensor(op.bias, bias_sizes(op)));
        // Of no channels there would be the bias alone, which kernels do not make.
        signature.conditions.push_back({"1 <= C", op.d_output, "should have channels but is {" + op.d_output + "}"});
    }
    // Of what no tensor has.
    if (!op.has_weights()) {
        signature.options.push_back(op.direction == Direction::Forward ? sizes("size", {"H", "W"})
                                                                       : sizes("size", {"h", "w"}));
    } else if (op.direction == Direction::DValue) {
        signature.options = {size("h"), size("w")};
    }
    add_options(signature, op);
    OutputTensor output{op.output, op.direction == Direction::Forward  ? high_res_map
                                   : op.direction == Direction::DValue ? low_res_map
                                                                       : weight_map(op)};
    output.is_wide = op.direction == Direction::DWeight;
    signature.outputs.push_back(std::move(output));
    add_gradients(signature, op);
    if (op.has_weights() && !op.is_derivative) {
        signature.autocast = Signature::Autocast::ToNarrow;
    }
    signature.has_tap_weights = op.has_weights() && op.direction == Direction::Forward && !op.is_derivative;
    signature.has_16_bits = signature.takes_strides = true;
    signature.run = [&op, calls = ParametersOfCalls()](Host &, const OperatorCall &call) {
        const Parameters parameters = calls.of(call);
        for (size_t i = 0; i < call.inputs.size(); i++) {
            if (parameters.groups > 1 && op.inputs[i] != op.bias && !is_splittable(call.inputs[i])) {
                throw Error(op.name, op.inputs[i], "should have its channels and batch contiguous when groups > 1");
            }
        }
        run(window_call(op, parameters, call.inputs, call.outputs[0]), call.queue);
    };
    return signature;
}

Signature signature_of(const Description &description, const WindowOperator &scores, const WindowOperator &sum) {
    Signature signature;
    signature.name = description.name;
    signature.doc = description.doc;
    const auto &maps = description.maps;
    const bool is_one = maps[description.value].channels == maps[description.query].channels;
    const std::string channels = is_one ? "C" : "D";
    for (int i = 0; i < static_cast<int>(maps.size()); i++) {
        if (i == description.bias) {
            signature.inputs.push_back(wide_tensor(maps[i].name, bias_sizes(scores)));
            continue;
        }
        signature.inputs.push_back(tensor(maps[i].name, i == description.value   ? low_res_map
                                                        : i == description.query ? "N," + channels + ",H,W"
                                                                                 : "N," + channels + ",h,w"));
    }
    if (description.bias >= 0) {
        const std::string &query = maps[description.query].name;
        signature.conditions.push_back({"1 <= " + channels, query, "should have channels but is {" + query + "}"});
    }
    signature.first = {maps[description.value].name, maps[description.query].name};
    add_options(signature, sum);
    if (sum.has_groups && !is_one) {
        signature.conditions.push_back({"D%groups == 0", "groups", "should divide the {D} channels but is {groups}"});
    }
    signature.outputs = {{"output", high_res_map}};
    signature.has_tap_weights = true;
    signature.has_16_bits = signature.takes_strides = true;
    signature.chain = Chain{
        scores.name, sum.name, maps[description.value].name, maps[description.query].name, maps[description.key].name,
        scores.bias};
    // The weights are made in memory of the call.
    signature.run = [&scores, &sum, d = description, calls = ParametersOfCalls()](Host &host,
                                                                                  const OperatorCall &call) {
        const Tensor &value = call.inputs[d.value], &query = call.inputs[d.query], &key = call.inputs[d.key];
        const Parameters parameters = calls.of(call);
        std::vector<int64_t> sizes = query.sizes;
        sizes[1] = parameters.groups * sum.tap_count(parameters.kernel);
        const Tensor weights = host.scratch(sizes);
        if (query.sizes[1] == 0) {  // a sum over no channels
            host.fill(weights, 0);
        } else {
            Parameters of_scores = parameters;
            of_scores.mask_ratio = 0;
            std::vector<Tensor> factors{query, key};
            if (d.bias >= 0) {
                factors.push_back(call.inputs[d.bias]);
            }
            run(window_call(scores, of_scores, factors, weights), call.queue);
        }
        run(window_call(sum, parameters, {value, weights}, call.outputs[0]), call.queue);
    };
    return signature;
}

}  // namespace upwell
