// The operators whose host side is written out, by name.
#pragma once

#include "named.h"

namespace upwell {

struct HostOperator {
    const char *name;
    void (*run)(Named &arguments, const Queue *queue);
};

// null: there is none.
const HostOperator *find_host_operator(const std::string &name);
std::vector<std::string> host_operator_names();

void run_group_stats(Named &arguments, const Queue *queue);
void run_guided_filter(Named &arguments, const Queue *queue);
void run_merge_kernels(Named &arguments, const Queue *queue);
void run_pcdc(Named &arguments, const Queue *queue);
void run_pcdc_scores(Named &arguments, const Queue *queue);
void run_transposed_conv(Named &arguments, const Queue *queue);
void run_wrc_data(Named &arguments, const Queue *queue);
void run_wrc_exact(Named &arguments, const Queue *queue);
void run_wrc_prior(Named &arguments, const Queue *queue);
void run_wrc_spectral(Named &arguments, const Queue *queue);

}  // namespace upwell
