package import CyxCore
internal import CyxObjects
internal import CyxS3

/// Deletes what the lifecycles of the accounts' buckets let go. Several gateways of an account may do
/// so at once: what one has deleted is not there for the other.
package struct LifecycleRunner: Sendable {
    private let environment: Environment
    private let accounts: S3Accounts
    /// How long a day of a lifecycle is.
    private let day: Duration

    private static let looksPerDay = 4
    /// Rules are in days: looking more often than this finds nothing new.
    private static let longestPause = Duration.seconds(3600)
    private static let pageVersions = 1000

    package init(
        environment: Environment, accounts: S3Accounts, day: Duration = .seconds(86_400)
    ) {
        self.environment = environment
        self.accounts = accounts
        self.day = day
    }

    package func run() async throws {
        let pause = min(day / LifecycleRunner.looksPerDay, LifecycleRunner.longestPause)
        while true {
            try await environment.sleep(for: pause)
            for service in accounts.services { try await pass(over: service) }
        }
    }

    /// Looks at all buckets of an account once. What fails is left to the next time.
    func pass(over service: any ObjectService) async throws {
        do {
            for bucket in try await service.buckets() {
                try await pass(over: bucket.name, of: service)
            }
        } catch let error as CancellationError {
            throw error
        } catch {
            environment.logger.warning("no list of buckets", [("error", "\(error)")])
        }
    }

    private func pass(over bucket: String, of service: any ObjectService) async throws {
        do {
            let settings = try await service.bucket(bucket).settings
            guard let bytes = settings.documents[DocumentName.lifecycle] else { return }
            var lifecycle = try LifecycleConfiguration(parsing: bytes)
            lifecycle.dayMilliseconds = max(day.nanoseconds / 1_000_000, 1)
            let now = environment.wallTime()
            try await abortUploads(in: bucket, of: service, lifecycle, now)
            try await sweep(bucket, of: service, LifecycleSweep(lifecycle, now: now))
        } catch let error as CancellationError {
            throw error
        } catch {
            environment.logger.warning(
                "a lifecycle has to wait", [("bucket", bucket), ("error", "\(error)")])
        }
    }

    private func abortUploads(
        in bucket: String, of service: any ObjectService, _ lifecycle: LifecycleConfiguration,
        _ now: WallTime
    ) async throws {
        guard lifecycle.rules.contains(where: { $0.abortDays != nil }) else { return }
        for upload in try await service.uploads(in: bucket) {
            guard let due = lifecycle.abortion(ofUpload: upload.key, started: upload.started),
                due.time <= now
            else { continue }
            do {
                try await service.abortUpload(upload.id, key: upload.key, in: bucket)
                count("upload")
            } catch ObjectError.noSuchUpload {
                // It was completed or aborted meanwhile.
            }
        }
    }

    private func sweep(
        _ bucket: String, of service: any ObjectService, _ sweep: LifecycleSweep
    ) async throws {
        var sweep = sweep
        var request = VersionListRequest()
        request.limit = LifecycleRunner.pageVersions
        while true {
            let page = try await service.listVersions(bucket, request)
            for version in page.versions {
                for deletion in sweep.take(version) {
                    try await delete(deletion, in: bucket, of: service)
                }
            }
            guard let next = page.next else { break }
            (request.startAfter, request.startAfterVersion) = next
        }
        for deletion in sweep.finish() { try await delete(deletion, in: bucket, of: service) }
    }

    /// Something came in between: the object that is there now has its own time.
    private struct Changed: Error {}

    private func delete(
        _ deletion: LifecycleSweep.Deletion, in bucket: String, of service: any ObjectService
    ) async throws {
        var options = DeleteOptions()
        let now = environment.wallTime()
        options.check = { info in
            // A marker holds nothing that could be lost, whatever is above it by now.
            guard deletion.what != .marker else { return }
            guard let info, info.modified == deletion.modified else { throw Changed() }
            guard deletion.version != nil else { return }
            guard try ObjectLockState(info.attributes).permitsDeletion(now: now, bypassing: false)
            else { throw Changed() }
        }
        do {
            _ = try await service.delete(
                deletion.key, version: deletion.version, in: bucket, options: options)
            count(deletion.what.rawValue)
        } catch is Changed {
            // The next time decides about what is there now.
        }
    }

    private func count(_ what: String) {
        environment.metrics.counter("cyxcloud_lifecycle_deletions_total", [("what", what)]).add()
    }
}
