// The bundle in vendor/ exports what the npm package does.
export * from "onnxruntime-web";
