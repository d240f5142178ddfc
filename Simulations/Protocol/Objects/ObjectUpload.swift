import CyxCore
import CyxCrypto
import CyxObjects
import SimulationHarness

/// A multipart upload, carried on through any gateway.
struct ObjectUpload {
    /// Completions that are asked for again after one has succeeded.
    static let repeatsMax = 2
    /// How long an upload's row surely outlives what it is for.
    static let memory = Duration.seconds(8)

    var key: Int
    /// Nothing else writes the key.
    var isAlone: Bool
    var id: String?
    /// The part that its completion names.
    var part: (number: Int, etag: String)?
    /// Its completion in the key's history, and what that writes.
    var operation = 0
    var value = 0
    var filled = Instant(nanoseconds: 0)
    var isCompleting = false
    var isCompleted = false
    var isAborting = false
    /// It is too late for an abort.
    var mustComplete = false
    var isAborted = false
    var repeats = 0
    var isGivenUp = false

    var isOver: Bool { isGivenUp || isAborted || isCompleted && repeats >= Self.repeatsMax }
    /// On a shared key it is aborted only before anyone may have seen it.
    var mayBeAborted: Bool { !mustComplete && (isAlone || !isCompleting) }
}

extension ObjectClients {
    private static let partBytesMin = 5000

    /// Creates it and puts two parts, of which the completion will name one.
    func fill(_ number: Int, _ upload: ObjectUpload, _ gateway: ObjectGateway) async throws {
        // Whoever is cut off here leaves an upload behind that nobody knows.
        change(number) { $0.isGivenUp = true }
        let name = name(upload.key)
        let id = try await gateway.createUpload(
            name, in: ObjectWorld.bucket, options: PutOptions())
        let (operation, value) = history(upload.key).invoke(isUpdate: true, isBlind: true)
        let write = ObjectRecords.Write(key: upload.key, value: value)
        let named = 1 + value % 2
        var etag = ""
        for part in 1...2 {
            let size = Self.partBytesMin + value * 977 % 12_000
            let bytes = ObjectRecords.bytes(write, part: part, count: size)
            let info = try await gateway.putPart(
                part, upload: id, key: name, in: ObjectWorld.bucket, body: FixedBytes(bytes))
            guard part == named else { continue }
            etag = info.etag
            let whole = Hex.encode(MD5.hash(MD5.hash(bytes))) + "-1"
            with { $0.expect(write, bytes, etag: whole) }
        }
        let (part, now) = ((named, etag), world.world.now)
        change(number) { upload in
            upload.id = id
            upload.part = part
            upload.operation = operation
            upload.value = value
            upload.filled = now
            upload.isGivenUp = false
        }
        with { $0.count("uploads filled") }
    }

    func complete(_ number: Int, _ upload: ObjectUpload, _ gateway: ObjectGateway) async throws {
        guard let id = upload.id, let part = upload.part else { return }
        change(number) { $0.isCompleting = true }
        do {
            _ = try await gateway.completeUpload(
                id, key: name(upload.key), in: ObjectWorld.bucket, parts: [part])
            judge(number, "completed") { $0.isAborted }
            if upload.isCompleted {
                change(number) { $0.repeats += 1 }
            } else {
                change(number) { $0.isCompleted = true }
                history(upload.key).finish(upload.operation)
                with { $0.count("uploads completed") }
            }
        } catch ObjectError.noSuchUpload {
            // Its row may have served its time, or the object have been replaced.
            let isRemembered = world.world.now - upload.filled < ObjectUpload.memory
            judge(number, "not found by its completion") {
                $0.isAlone && isRemembered && !$0.isAborting
            }
            change(number) { $0.isGivenUp = true }
        }
    }

    func abort(_ number: Int, _ upload: ObjectUpload, _ gateway: ObjectGateway) async throws {
        guard let id = upload.id else { return }
        change(number) { $0.isAborting = true }
        do {
            try await gateway.abortUpload(id, key: name(upload.key), in: ObjectWorld.bucket)
        } catch ObjectError.noSuchUpload {
            // Completed, or aborted by an earlier try: a completion tells.
            change(number) { $0.mustComplete = true }
            return
        }
        judge(number, "aborted") { $0.isCompleted }
        change(number) { $0.isAborted = true }
        history(upload.key).withdraw(upload.operation)
        with { records in
            records.keys[upload.key].impossible.insert(upload.value)
            records.count("uploads aborted")
        }
    }

    private func judge(_ number: Int, _ what: String, _ isWrong: (ObjectUpload) -> Bool) {
        let upload = upload(number)
        with { records in
            records.check("MultipartAtomic")
            guard isWrong(upload) else { return }
            records.violate(
                "MultipartAtomic",
                "an upload to \(records.keys[upload.key].name) was \(what), although it "
                    + (upload.isCompleted
                        ? "had been completed" : upload.isAborted ? "had been aborted" : "was open")
            )
        }
    }
}
