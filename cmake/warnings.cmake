# Compiler options that this project's own targets share.
add_library(upwell_options INTERFACE)
target_compile_options(
    upwell_options INTERFACE -Wall -Wextra -Wpedantic $<$<BOOL:${UPWELL_WARNINGS_AS_ERRORS}>:-Werror>
                             $<$<BOOL:${UPWELL_SANITIZE}>:-fsanitize=address,undefined -fno-omit-frame-pointer>
)
target_link_options(upwell_options INTERFACE $<$<BOOL:${UPWELL_SANITIZE}>:-fsanitize=address,undefined>)
