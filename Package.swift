// swift-tools-version: 6.2
// The layers of CyxCloud, top to bottom of the list being bottom to top of the system: a target
// depends only on targets above it here, which `LintTests` checks together with the imports.
import PackageDescription

let settings: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableExperimentalFeature("Lifetimes"),
]

func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

func library(_ name: String, pkgConfig: String? = nil, debian: String) -> Target {
    .systemLibrary(
        name: name, path: "Sources/CLibraries/\(name)", pkgConfig: pkgConfig,
        providers: [.apt([debian])])
}

let package = Package(
    name: "cyxcloud",
    targets: [
        // C: module maps of system libraries, and our own kernels.
        library("CRocksDB", pkgConfig: "rocksdb", debian: "librocksdb-dev"),
        library("CSodium", pkgConfig: "libsodium", debian: "libsodium-dev"),
        library("COpenSSL", pkgConfig: "libcrypto", debian: "libssl-dev"),
        library("CIPSecMB", debian: "libipsec-mb-dev"),
        library("CISAL", debian: "libisal-dev"),
        library("CZstd", pkgConfig: "libzstd", debian: "libzstd-dev"),
        library("CMicroHTTPD", pkgConfig: "libmicrohttpd", debian: "libmicrohttpd-dev"),
        library("CGnuTLS", pkgConfig: "gnutls", debian: "libgnutls28-dev"),
        library("CWslay", debian: "libwslay-dev"),
        library("CYAML", pkgConfig: "yaml-0.1", debian: "libyaml-dev"),
        library("CCurl", pkgConfig: "libcurl", debian: "libcurl4-openssl-dev"),
        .target(name: "CyxKernels", cSettings: [.unsafeFlags(["-O3"])]),
        .target(name: "CyxHTTPShims", dependencies: ["CMicroHTTPD", "CGnuTLS"]),

        // Base.
        module("CyxCore", ["CyxKernels"]),

        // Local.
        module(
            "CyxCrypto", ["CyxCore", "CyxKernels", "CSodium", "COpenSSL", "CIPSecMB", "CISAL"]),
        module("CyxErasure", ["CyxCore", "CISAL"]),
        module("CyxStorage", ["CyxCore", "CyxCrypto", "CyxKernels", "CRocksDB"]),

        // Network.
        module("CyxTransport", ["CyxCore", "CyxCrypto", "CyxKernels"]),
        module("CyxOverlay", ["CyxCore", "CyxCrypto", "CyxTransport"]),

        // Metadata and services.
        module("CyxTables", ["CyxCore", "CyxCrypto", "CyxTransport", "CyxOverlay"]),
        module(
            "CyxObjects",
            [
                "CyxCore", "CyxCrypto", "CyxErasure", "CyxStorage", "CyxTransport", "CyxOverlay",
                "CyxTables", "CZstd",
            ]),

        // One peer out of its parts.
        module(
            "CyxAssembly",
            [
                "CyxCore", "CyxCrypto", "CyxStorage", "CyxTransport", "CyxOverlay", "CyxTables",
                "CyxObjects",
            ]),

        // What repair makes of losses, in virtual time.
        module("CyxDurability", ["CyxCore", "CyxObjects"]),

        // Edges.
        module("CyxHTTP", ["CyxCore", "CyxHTTPShims", "CWslay"]),
        module("CyxS3", ["CyxCore", "CyxCrypto"]),
        module("CyxGateway", ["CyxCore", "CyxCrypto", "CyxHTTP", "CyxObjects", "CyxS3"]),
        module("CyxClient", ["CyxCore", "CyxCrypto", "CyxS3", "CCurl"]),

        // Programs.
        program("protoc-gen-cyx", ["CyxCore"]),
        module(
            "CyxPeerProcess",
            [
                "CyxCore", "CyxCrypto", "CyxStorage", "CyxTransport", "CyxOverlay", "CyxTables",
                "CyxObjects", "CyxAssembly", "CyxHTTP", "CyxGateway", "CYAML",
            ]),
        program("cyxpeer", ["CyxPeerProcess"]),
        program(
            "cyxcloud",
            [
                "CyxCore", "CyxCrypto", "CyxTables", "CyxObjects", "CyxDurability", "CyxClient",
            ]),
        .target(
            name: "CBaselines", dependencies: ["CISAL", "COpenSSL", "CIPSecMB"],
            path: "Sources/cyxbench-baselines"),
        module(
            "CyxBenchmarks",
            [
                "CyxCore", "CyxCrypto", "CyxErasure", "CyxStorage", "CyxTransport", "CyxOverlay",
                "CyxTables", "CyxObjects", "CBaselines",
            ]),
        program("cyxbench", ["CyxCore", "CyxBenchmarks"]),

        // Simulation.
        .target(
            name: "SimulationHarness",
            dependencies: [
                "CyxCore", "CyxCrypto", "CyxErasure", "CyxStorage", "CyxTransport", "CyxOverlay",
                "CyxTables", "CyxObjects",
            ],
            path: "Simulations/Harness", swiftSettings: settings),
        .target(
            name: "SimulationScenarios",
            dependencies: [
                "SimulationHarness", "CyxCore", "CyxCrypto", "CyxStorage", "CyxTransport",
                "CyxOverlay", "CyxTables", "CyxObjects", "CyxAssembly",
            ],
            path: "Simulations/Scenarios", swiftSettings: settings),
        .target(
            name: "ProtocolSimulation",
            dependencies: [
                "CyxCore", "CyxCrypto", "CyxStorage", "CyxTransport", "CyxOverlay", "CyxTables",
                "CyxObjects", "CyxDurability", "SimulationHarness",
            ],
            path: "Simulations/Protocol", swiftSettings: settings),
        .executableTarget(
            name: "simulate",
            dependencies: [
                "SimulationScenarios", "SimulationHarness", "ProtocolSimulation", "CyxCore",
                "CyxKernels",
            ],
            path: "Simulations/simulate", swiftSettings: settings),

        // Tests.
        .target(
            name: "TestSockets", path: "Tests/Support/TestSockets", swiftSettings: settings),
        .executableTarget(
            name: "lyingpeer",
            dependencies: ["CyxCore", "CyxTransport", "CyxObjects", "CyxPeerProcess"],
            path: "Tests/Programs/lyingpeer", swiftSettings: settings),
        tests("CyxCoreTests", ["CyxCore"]),
        tests("CyxCryptoTests", ["CyxCore", "CyxCrypto", "CyxKernels", "CSodium"]),
        tests("CyxErasureTests", ["CyxCore", "CyxErasure"]),
        tests("CyxStorageTests", ["CyxCore", "CyxCrypto", "CyxStorage"]),
        tests("CyxTransportTests", ["CyxCore", "CyxCrypto", "CyxTransport"]),
        tests(
            "CyxOverlayTests",
            ["CyxCore", "CyxCrypto", "CyxTransport", "CyxOverlay", "SimulationHarness"]),
        tests(
            "CyxTablesTests",
            [
                "CyxCore", "CyxCrypto", "CyxTransport", "CyxOverlay", "CyxTables",
                "SimulationHarness",
            ]),
        tests(
            "CyxObjectsTests",
            [
                "CyxCore", "CyxCrypto", "CyxErasure", "CyxStorage", "CyxTransport", "CyxOverlay",
                "CyxTables", "CyxObjects", "SimulationHarness",
            ]),
        tests("CyxDurabilityTests", ["CyxCore", "CyxObjects", "CyxDurability"]),
        tests("CyxHTTPTests", ["CyxCore", "CyxHTTP", "TestSockets"]),
        tests("CyxS3Tests", ["CyxCore", "CyxS3"]),
        tests(
            "CyxGatewayTests",
            [
                "CyxCore", "CyxCrypto", "CyxTables", "CyxHTTP", "CyxObjects", "CyxS3", "CyxGateway",
                "SimulationHarness", "TestSockets",
            ]),
        tests(
            "CyxPeerProcessTests",
            [
                "CyxCore", "CyxCrypto", "CyxHTTP", "CyxOverlay", "CyxTransport", "CyxPeerProcess",
            ]),
        tests("CyxClientTests", ["CyxCore", "CyxClient"]),
        tests(
            "SimulationTests",
            [
                "CyxCore", "CyxOverlay", "CyxTransport", "CyxTables", "CyxObjects",
                "SimulationHarness", "SimulationScenarios", "ProtocolSimulation",
            ]),
        tests("CyxBenchmarksTests", ["CyxBenchmarks"]),
        tests("LintTests", []),
    ],
    swiftLanguageModes: [.v6]
)

// Fuzzing sees the internals of modules. In an ordinary build its targets and corpora are a test;
// with CYX_FUZZ set they are a program around libFuzzer instead (`make fuzz`).
let fuzzDriver = Target.target(name: "CFuzzDriver", path: "Tests/Fuzz/Driver")
let fuzz = Target.executableTarget(
    name: "fuzz",
    dependencies: [
        "CyxCore", "CyxCrypto", "CyxStorage", "CyxTransport", "CyxOverlay", "CyxTables",
        "CyxObjects", "CyxHTTP", "CyxS3", "CyxGateway", "CyxClient", "CyxPeerProcess",
        "CFuzzDriver",
    ],
    path: "Tests/Fuzz", exclude: ["Corpora", "Driver", "Regression"], swiftSettings: settings)
if Context.environment["CYX_FUZZ"] != nil {
    package.targets += [fuzzDriver, fuzz]
} else {
    package.targets.append(
        .testTarget(
            name: "FuzzTests", dependencies: fuzz.dependencies.dropLast(), path: "Tests/Fuzz",
            exclude: ["Corpora", "Driver", "Program"], swiftSettings: settings))
}
