import { mount } from 'svelte'
import { connect } from './engine/connect'
import App from './ui/App.svelte'
import './ui/styles/tokens.css'
import './ui/styles/base.css'

const target = document.getElementById('app')
if (!target) throw new Error('the page has no place for the app')
mount(App, { target, props: { connecting: connect() } })
