// Fragments are built node by node: without innerHTML, Trusted Types need no policy at all.
export default { compilerOptions: { runes: true, css: 'external', fragments: 'tree' } }
