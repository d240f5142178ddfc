internal import CyxHTTP

/// From an operation to the function that carries it out, by subject. None of these is inlined: the
/// optimizer of Swift 6.3 crashes when it splits one coroutine that has all of them in it.
extension S3Gateway {
    func perform(_ operation: S3Operation, _ call: Call) async throws -> HTTPResponse {
        if let response = try await performOnObject(operation, call) { return response }
        if let response = try await performOnUpload(operation, call) { return response }
        if let response = try await performOnBucket(operation, call) { return response }
        if let response = try await performOnDocument(operation, call) { return response }
        if let response = try await performOnObjectDocument(operation, call) { return response }
        if let response = try await performOnPin(operation, call) { return response }
        if let response = try await performOnKey(operation, call) { return response }
        throw S3Error.notImplemented(operation.name)
    }

    @inline(never)
    private func performOnBucket(
        _ operation: S3Operation, _ call: Call
    ) async throws -> HTTPResponse? {
        switch operation {
        case .listBuckets: return try await listBuckets(call)
        case .createBucket: return try await createBucket(call)
        case .deleteBucket: return try await deleteBucket(call)
        case .headBucket: return try await headBucket(call)
        case .getBucketLocation: return try await getBucketLocation(call)
        case .getBucketVersioning: return try await getBucketVersioning(call)
        case .putBucketVersioning: return try await putBucketVersioning(call)
        case .listObjects: return try await listObjects(call)
        case .listObjectsV2: return try await listObjectsV2(call)
        case .listObjectVersions: return try await listObjectVersions(call)
        case .listMultipartUploads: return try await listMultipartUploads(call)
        case .deleteObjects: return try await deleteObjects(call)
        default: return nil
        }
    }

    @inline(never)
    private func performOnObject(
        _ operation: S3Operation, _ call: Call
    ) async throws -> HTTPResponse? {
        switch operation {
        case .getObject: return try await getObject(call)
        case .headObject: return try await headObject(call)
        case .putObject: return try await putObject(call)
        case .deleteObject: return try await deleteObject(call)
        case .copyObject: return try await copyObject(call)
        case .getObjectAttributes: return try await getObjectAttributes(call)
        default: return nil
        }
    }

    @inline(never)
    private func performOnUpload(
        _ operation: S3Operation, _ call: Call
    ) async throws -> HTTPResponse? {
        switch operation {
        case .createMultipartUpload: return try await createMultipartUpload(call)
        case .uploadPart: return try await uploadPart(call)
        case .uploadPartCopy: return try await uploadPartCopy(call)
        case .listParts: return try await listParts(call)
        case .completeMultipartUpload: return try await completeMultipartUpload(call)
        case .abortMultipartUpload: return try await abortMultipartUpload(call)
        default: return nil
        }
    }

    @inline(never)
    private func performOnPin(
        _ operation: S3Operation, _ call: Call
    ) async throws -> HTTPResponse? {
        switch operation {
        case .createPin: return try await createPin(call)
        case .listPins: return try await listPins(call)
        case .getPin: return try await getPin(call)
        case .headPin: return try await headPin(call)
        case .deletePin: return try await deletePin(call)
        default: return nil
        }
    }

    @inline(never)
    private func performOnKey(
        _ operation: S3Operation, _ call: Call
    ) async throws -> HTTPResponse? {
        switch operation {
        case .createKey: return try await createKey(call)
        case .listKeys: return try await listKeys(call)
        case .deleteKey: return try await deleteKey(call)
        default: return nil
        }
    }
}
