#include "operators/host_operators.h"

#include <algorithm>
#include <array>

namespace upwell {
namespace {

constexpr std::array all{
    HostOperator{"group_stats", run_group_stats},
    HostOperator{"guided_filter", run_guided_filter},
    HostOperator{"merge_kernels", run_merge_kernels},
    HostOperator{"pcdc", run_pcdc},
    HostOperator{"pcdc_scores", run_pcdc_scores},
    HostOperator{"transposed_conv", run_transposed_conv},
    HostOperator{"wrc_data", run_wrc_data},
    HostOperator{"wrc_exact", run_wrc_exact},
    HostOperator{"wrc_prior", run_wrc_prior},
    HostOperator{"wrc_spectral", run_wrc_spectral},
};

}  // namespace

const HostOperator *find_host_operator(const std::string &name) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const HostOperator &op) { return op.name == name; });
    return found == all.end() ? nullptr : &*found;
}

std::vector<std::string> host_operator_names() {
    std::vector<std::string> names;
    for (const HostOperator &op : all) {
        names.push_back(op.name);
    }
    return names;
}

}  // namespace upwell
