# `make install`: libraries, headers, the compiler of descriptions, and a CMake package (find_package(Upwell)). The wheel
# (pyproject.toml) has the same in one folder, the Python package's.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME wheel)

set(headers ${UPWELL_HEADERS})
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/Upwell)
cmake_path(NORMAL_PATH package)

install(
    TARGETS upwell_runtime upwell.generator EXPORT UpwellTargets
    RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
)
install(FILES grid/taps.h DESTINATION ${headers}/grid)
install(FILES language/window.h DESTINATION ${headers}/language)
install(FILES language/upwell/operator.h DESTINATION ${headers}/upwell)
install(FILES runtime/row.h runtime/upwell.h DESTINATION ${headers}/runtime)
install(EXPORT UpwellTargets NAMESPACE upwell:: DESTINATION ${package})
if (UPWELL_TORCH_BRIDGE)
    install(TARGETS upwell_torch upwell_nn EXPORT UpwellTorchTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
    install(FILES torch_bridge/operators.h DESTINATION ${headers}/torch)
    install(DIRECTORY torch_bridge/modules DESTINATION ${headers}/torch FILES_MATCHING PATTERN "*.h")
    install(EXPORT UpwellTorchTargets NAMESPACE upwell:: DESTINATION ${package})
    install(FILES torch_bridge/FindLibTorch.cmake cmake/wheels.cmake DESTINATION ${package})
endif ()
install(FILES cmake/UpwellOperators.cmake DESTINATION ${package})
configure_package_config_file(
    cmake/UpwellConfig.cmake.in ${PROJECT_BINARY_DIR}/UpwellConfig.cmake INSTALL_DESTINATION ${package}
)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/UpwellConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(
    FILES ${PROJECT_BINARY_DIR}/UpwellConfig.cmake ${PROJECT_BINARY_DIR}/UpwellConfigVersion.cmake
    DESTINATION ${package}
)
if (SKBUILD)
    install(DIRECTORY ${PROJECT_BINARY_DIR}/python/upwell/ DESTINATION . FILES_MATCHING PATTERN "*.py")
    # Side by side in one site-packages: upwell, torch, halide.
    set_target_properties(
        upwell_torch upwell_nn PROPERTIES INSTALL_RPATH "\$ORIGIN;\$ORIGIN/../torch/lib" INSTALL_RPATH_USE_LINK_PATH OFF
    )
    set_target_properties(upwell.generator PROPERTIES INSTALL_RPATH "\$ORIGIN/../../halide/lib64")
endif ()
