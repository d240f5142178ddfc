// protoc-gen-cyx: turns .proto files (proto3) into Swift for CyxCore's protobuf runtime.
//
//     protoc --plugin=protoc-gen-cyx=PATH --cyx_out=DIR [--cyx_opt=import=MODULE,…] -I DIR x.proto
//
// writes DIR/x.pb.swift; `make proto` does it for every schema and formats the result.
//
// Usage of what it writes, for `message FindNodeRequest { bytes target_id = 1; }`:
//
//     let bytes = FindNodeRequest(targetID: key).protobufBytes()      // canonical bytes
//     let request = try FindNodeRequest(protobuf: bytes)              // throws DecodingError
//
// Names. A message or enum keeps its name, and nested ones nest: the proto package plays no part.
// `option swift_prefix = "Wire";` puts a prefix before a file's top-level types, for names that
// hand-written types have already. Fields become lowerCamelCase, with a trailing `id`, `ids` or
// `url` in capitals (peer_id → peerID). Enum values lose the enum's own name (PEER_STATE_ALIVE of
// PeerState → .alive), and each enum has `.unrecognized(Int32)`. A oneof becomes a nested enum of
// its own name and an optional property (oneof kind → `kind: Kind?`). A singular message is an
// optional property, `optional` scalars are optional too, `bytes` is [UInt8], a map a dictionary.
// Leading comments become doc comments.
//
// Types of an imported .proto are referred to by name; where another target holds them, say so
// with `import=MODULE`. Not taken, each with an error that names it: proto2, groups, extensions,
// `[packed = false]`, and singular message fields that contain their own type (use `repeated`).
// Services are passed over.
import CyxCore
import Glibc

func readAll() -> [UInt8] {
    var input: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = read(STDIN_FILENO, &buffer, buffer.count)
        guard count > 0 else { return input }
        input.append(contentsOf: buffer[..<count])
    }
}

func writeAll(_ bytes: [UInt8]) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
        guard count > 0 else { return false }
        rest = rest.dropFirst(count)
    }
    return true
}

func respond(to request: CodeGeneratorRequest) -> CodeGeneratorResponse {
    var response = CodeGeneratorResponse()
    do {
        let types = try TypeIndex(request.files)
        let modules = try Parameters(request.parameter).imports
        for file in request.files where request.filesToGenerate.contains(file.name) {
            let emitter = try FileEmitter(file, types: types, imports: modules)
            response.files.append(try emitter.emit())
        }
    } catch {
        response.error = error.message
    }
    return response
}

do {
    let request = try CodeGeneratorRequest(protobuf: readAll())
    exit(writeAll(respond(to: request).protobufBytes()) ? 0 : 1)
} catch {
    _ = writeAll(CodeGeneratorResponse(error: "protoc's request: \(error)").protobufBytes())
    exit(0)
}
