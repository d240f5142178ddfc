import CyxCore
import Glibc
import Testing

private let port = getenv("CYX_GATEWAY_PORT").flatMap { UInt16(String(cString: $0)) }

/// With CYX_GATEWAY_PORT set, serves the in-memory gateway there until the process is killed, for
/// real clients (`Tests/EndToEnd/clients/s3_clients.py`).
@Suite struct ServeTests {
    @Test(.enabled(if: port != nil, "set CYX_GATEWAY_PORT to serve"))
    func servesRealClients() async throws {
        try await GatewayHarness.run(port: port ?? 0, sink: LineLogSink.standardError()) {
            harness in
            while true { try await harness.environment.sleep(for: .seconds(3600)) }
        }
    }
}
