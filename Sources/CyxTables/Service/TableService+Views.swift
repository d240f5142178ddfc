package import CyxCore
internal import CyxTransport

struct ViewChanges {
}

extension TableService {
    func tick() {
        if configuration.isFounder, replicas.isEmpty {
            start { [weak self] in
                do {
                    try await self?.makeGenesis()
                } catch {
                    self?.logger.error("cannot found the network", [("error", "\(error)")])
                }
            }
        }
    }

    func install(_ certificate: ViewCertificate, at peer: PeerID) {}

    func answerViews(_ request: [UInt8], from remote: PeerID) async throws -> [UInt8] {
        let items = try TablesBatch(protobuf: request).items
        var replies: [ViewReply] = []
        for item in items {
            let request = try ViewRequest(protobuf: item)
            switch request.operation {
            case .find:
                guard let id = request.view?.id, let known = knownCertificate(id.partition) else {
                    replies.append(ViewReply(status: .refused))
                    continue
                }
                replies.append(ViewReply(status: .done, certificate: known.bytes))
            default: replies.append(ViewReply(status: .refused))
            }
        }
        return TablesBatch(items: replies.map { $0.protobufBytes() }).protobufBytes()
    }

    package func scan(
        _ table: TableID, position: Digest, prefixBits: Int, after: RowKey?, limit: Int
    ) async throws(TableError) -> [(key: RowKey, state: RegisterState)] { [] }

    package func localRows(
        _ table: TableID, after: RowKey?, limit: Int
    ) async throws(TableError) -> [RowKey] { [] }

    package func custodians(of position: Digest) async throws(TableError) -> [PeerID] {
        var budget = OperationBudget(now: environment.now(), timings: configuration.timings)
        return try await locate(partition(holding: position), &budget).view.peers
    }

    package func health() async -> TablesHealth {
        TablesHealth(partitions: 0, fullPartitions: 0, unavailablePartitions: 0, survives: 0)
    }
}
