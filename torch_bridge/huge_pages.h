// Memory for large outputs.
#pragma once

#include <cstddef>

namespace upwell::bridge {

// Asks the system to back a large block with huge pages. Fresh memory is mapped page by page as a kernel first writes
// it; at 4 KiB a page that takes longer than the kernel itself does.
void prefer_huge_pages(void *data, std::size_t bytes);

}  // namespace upwell::bridge
