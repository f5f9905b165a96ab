// The script is no module: it hands its factory to whatever `define` there is.
export {};
