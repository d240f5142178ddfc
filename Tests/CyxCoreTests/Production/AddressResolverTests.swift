import CyxCore
import Testing

struct AddressResolverTests {
    @Test func namesAreResolvedOnThePoolAndLiteralsAtOnce() async throws {
        try await onReactor { reactor in
            let pool = try ThreadPool(threadCount: 1)
            let literal = try await AddressResolver.resolve("[::1]:7", on: pool)  // never bound
            #expect(literal == [SocketAddress(ip: 1, port: 7)])  // never bound
            let names = try await AddressResolver.resolve("localhost:7", on: pool)
            #expect(names.allSatisfy { $0.port == 7 && ($0.ip == 1 || $0.isIPv4) })
            let error = await #expect(throws: AddressError.self) {
                try await AddressResolver.resolve("no.such.host.invalid:7", on: pool)
            }
            #expect(error?.description.contains("no.such.host.invalid") == true)
            pool.stop()
        }
    }
}
